"""A headless Chromium for a test, driven by chromedriver over WebDriver's HTTP. Standard library only."""
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

TAB, ENTER, CONTROL, LEFT, RIGHT = "\ue004", "\ue007", "\ue009", "\ue012", "\ue014"


def skip(reason):
    print(f"SKIPPED: {reason}, so nothing looks at the playground. Debian: apt-get install chromium-driver", file=sys.stderr)
    raise unittest.SkipTest(reason)


class Browser:
    def __init__(self, width, height, phone=False):
        driver = shutil.which("chromedriver")
        if not driver:
            skip("there is no chromedriver here")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.session = None
        self.process = subprocess.Popen([driver, f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # Chromium does not begin as root otherwise
        options = {"args": arguments}
        if phone:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2, "touch": True}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self.until(lambda: self.call("GET", "/status")["ready"])
            self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except RuntimeError as error:
            self.close()
            skip(f"Chromium does not begin: {error}")

    def call(self, method, path, body=None):
        body = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from error
        except OSError as error:
            raise RuntimeError(str(error)) from error

    def ask(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def open(self, address):
        self.ask("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys):
        """One after the other; those of a tuple together."""
        actions = []
        for key in keys:
            together = key if isinstance(key, tuple) else (key,)
            actions += [{"type": "keyDown", "value": k} for k in together] + [{"type": "keyUp", "value": k} for k in reversed(together)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def tap(self, selector):
        element = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        self.ask("POST", f"/element/{next(iter(element.values()))}/click")

    def screenshot(self, file):
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.ask("GET", "/screenshot")))

    def complaints(self):
        return [e["message"] for e in self.ask("POST", "/se/log", {"type": "browser"}) if e["level"] in ("SEVERE", "WARNING")]

    def until(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = condition()
            except RuntimeError:
                value = None
                if self.process.poll() is not None:
                    raise
            if value:
                return value
            if time.monotonic() > deadline:
                raise RuntimeError("what was waited for did not come")
            time.sleep(0.05)

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(timeout=20)
