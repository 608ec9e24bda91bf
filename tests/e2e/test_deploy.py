#!/usr/bin/env python3
"""The files in deploy/ fit the program: what the image installs, which settings and metrics are named, and whether nginx, HAProxy and
systemd take their files (each where it is installed).

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from serving import BINARY, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
IN_EVERY_IMAGE = {"libc6", "libstdc++6", "libgcc-s1"}  # apt itself needs them


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def need(program):
    if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise unittest.SkipTest(f"no {program} here")
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


class Dockerfile(unittest.TestCase):
    def setUp(self):
        stages = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text()).split("\nFROM ")
        self.build, self.image = (set(re.search(r"--no-install-recommends ([^&]*)&&|$", stage)[1].split()) for stage in stages[-2:])

    def test_the_image_has_the_programs_libraries(self):
        if os.environ.get("WDE_SANITIZE"):
            self.skipTest("a sanitizer's libraries are in no image")
        need("dpkg-query"), need("readelf")
        wanted = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", BINARY))
        files = dict(re.findall(r"^\s*(\S+) => (\S+)", output("ldd", BINARY), re.MULTILINE))
        self.assertGreater(len(wanted), 5)
        for library in wanted:
            if library not in files:  # the loader
                continue
            file = os.path.realpath(files[library])
            owner = output("dpkg-query", "-S", file) or output("dpkg-query", "-S", file.removeprefix("/usr"))
            if not owner:
                self.skipTest(f"{file} is of no Debian package")
            self.assertIn(owner.split(":")[0], self.image | IN_EVERY_IMAGE, library)

    def test_it_builds_with_what_scripts_run_installs(self):
        packages = re.search(r"build_packages=\((.*?)\)", (ROOT / "scripts" / "lib.sh").read_text(), re.DOTALL)[1].split()
        self.assertLessEqual(set(packages), self.build)


class Names(unittest.TestCase):
    def test_settings(self):
        known = set(re.findall(r"WDE_[A-Z0-9_]+", output(BINARY, "serve", "--help")))
        for name in ("Dockerfile", "wde.env", "wde.service", "kubernetes.yaml"):
            named = set(re.findall(r"\bWDE_[A-Z0-9_]+", (DEPLOY / name).read_text()))
            self.assertTrue(named, name)
            self.assertLessEqual(named, known, name)

    def test_what_is_asked_of_the_server(self):
        with Server() as server:
            metrics = server.get("/metrics").body.decode()
            text = (DEPLOY / "kubernetes.yaml").read_text()
            for name in re.findall(r"metric: \{name: (\w+)\}", text):
                self.assertIn(f"# TYPE {name} gauge", metrics)
            probes = re.findall(r"httpGet: \{path: (\S+),", text) + re.findall(r"httpchk GET (\S+)", (DEPLOY / "haproxy.cfg").read_text())
            self.assertEqual(len(probes), 4)
            for path in probes:
                self.assertEqual(server.get(path).status, 200, path)


class Replica:
    """Takes requests and answers each with what it is told to: a status, or nothing before it closes."""

    def __init__(self):
        self.answer, self.posts = 200, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(b"the body") and not (request.startswith(b"GET") and request.endswith(b"\r\n\r\n")):
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            probe = request.startswith(b"GET /health")
            self.posts += not probe
            if self.answer or probe:
                status = 200 if probe else self.answer
                connection.sendall(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok" % status)


class Proxies(unittest.TestCase):
    """The real proxies, with their files as they are but for the ports."""

    def setUp(self):
        self.replicas = [Replica() for _ in range(3)]
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]

    def start(self, name, old_port, *command):
        text = (DEPLOY / name).read_text()
        for number, replica in enumerate(self.replicas):
            self.assertIn(f"127.0.0.1:808{number + 1}", text)
            text = text.replace(f"127.0.0.1:808{number + 1}", f"127.0.0.1:{replica.port}")
        self.assertIn(old_port, text)
        file = pathlib.Path(self.directory, name)
        file.write_text(text.replace(old_port, old_port.replace("8000", str(self.port))))
        process = subprocess.Popen([*command, file], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.terminate(), process.wait(10)))
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                if self.post() == 200:
                    break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def post(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/embed", "the body", {"Content-Type": "application/json"})
            return connection.getresponse().status

    def check(self):
        def ask(*answers):
            """The status, and how many replicas had the request."""
            for replica, answer in zip(self.replicas, answers):
                replica.answer, replica.posts = answer, 0
            return self.post(), sum(replica.posts for replica in self.replicas)

        # One that brings its replica down has brought down one.
        for _ in range(2):
            status, reached = ask(None, None, None)
            self.assertEqual((status in (502, 503), reached), (True, 1), status)
            time.sleep(2.5)  # both forgive a failure by then
        # Those that drain have not begun: the third answers.
        for answers in [(503, 503, 200), (503, 200, 503), (200, 503, 503)]:
            status, reached = ask(*answers)
            self.assertEqual(status, 200)
            self.assertLessEqual(reached, 4)
        self.assertEqual(ask(503, 503, 503)[0], 503)
        # Nor has one that is not there.
        self.replicas[0].listener.shutdown(socket.SHUT_RDWR)
        self.replicas[0].listener.close()
        for _ in range(6):
            self.assertEqual(ask(200, 200, 200)[0], 200)

    def test_nginx(self):
        settings = f"daemon off; master_process off; pid {self.directory}/pid; error_log stderr;"
        self.start("nginx.conf", "listen 8000;", need("nginx"), "-p", self.directory, "-e", "stderr", "-g", settings, "-c")
        self.check()

    def test_haproxy(self):
        self.start("haproxy.cfg", "bind :8000", need("haproxy"), "-db", "-f")
        self.check()


class Configurations(unittest.TestCase):
    def check(self, *command):
        process = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(process.returncode, 0, process.stderr + process.stdout)

    def test_nginx(self):
        with tempfile.TemporaryDirectory() as directory:
            self.check(need("nginx"), "-t", "-p", directory, "-e", "stderr", "-c", DEPLOY / "nginx.conf",
                       "-g", f"pid {directory}/pid; error_log stderr;")

    def test_haproxy(self):
        self.check(need("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg")

    def test_systemd(self):
        program = need("systemd-analyze")
        with tempfile.TemporaryDirectory() as directory:
            unit = pathlib.Path(directory, "wde.service")
            unit.write_text((DEPLOY / "wde.service").read_text().replace("/usr/local/bin/wde", os.path.realpath(BINARY)))
            self.check(program, "verify", "--man=no", unit)


if __name__ == "__main__":
    unittest.main(verbosity=2)
