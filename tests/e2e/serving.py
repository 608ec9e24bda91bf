"""Starts `wde serve` for a test, speaks HTTP to it and looks at its answers. Standard library only."""
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
MODEL = DATA / "bert-mean"
SLOW = 10 if os.environ.get("WDE_SANITIZE") else 1  # sanitizers take their time
TEXTS = ["a first text", "another", "the third one is longer than the others"]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


def pieces_of(text, room, sizes):
    """A text's words in pieces of at most `room` tokens; `sizes` has those of each word."""
    pieces, now, used = [], [], 0
    for word in text.split():
        if used + sizes[word] > room:
            pieces.append(" ".join(now))
            now, used = [], 0
        now.append(word)
        used += sizes[word]
    return [*pieces, " ".join(now)]


class Server:
    """with Server(model, …) as server: server.post("/embed", {…})"""

    stopped = False

    def __init__(self, *models, flags=(), env=None, wait=True, named=True, front=()):
        models = models or ((MODEL,) if named else ())
        self.stderr = tempfile.TemporaryFile()
        arguments = [*front, BINARY, "serve", "--port", "0", "--http-threads", "2"]
        for model in models:
            arguments += ["--model", str(model)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
        environment.update(env or {})
        self.process = subprocess.Popen(
            [*arguments, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.stderr, env=environment
        )
        self.host, self.port, self.path = "127.0.0.1", None, None
        deadline = time.monotonic() + 60 * SLOW
        while True:
            found = re.search(r"listening on (?:http[s]?://([\d.]+):(\d+)|unix:(\S+?),)", self.log())
            if found:
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.give_up("the server did not start: ")
            time.sleep(0.02)
        if found[1]:
            self.host, self.port = found[1], int(found[2])
        else:
            self.path = found[3]
        while wait and self.get("/health").status != 200:
            if time.monotonic() > deadline or "could not be loaded" in self.log():
                self.give_up("the server is not ready: ")
            time.sleep(0.05)

    def give_up(self, why):
        """It is no use to the test, nor may it disturb the next ones."""
        self.process.kill()
        self.process.wait()
        raise RuntimeError(why + self.log())

    def log(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    def log_with(self, words, seconds=10):
        """The log as soon as it has these words: a thread of its own writes it."""
        end = time.monotonic() + seconds * SLOW
        while words not in self.log() and time.monotonic() < end:
            time.sleep(0.02)
        return self.log()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.stopped:
            self.stop()

    def stop(self, expect=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=60 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the server did not stop: " + self.log())
        log = self.log() if not self.stderr.closed else self.last_log
        self.last_log = log
        self.stderr.close()
        self.stopped = True
        assert status == expect, f"exit status {status}: {log}"
        assert "Sanitizer" not in log, log
        return log

    def socket(self):
        if self.path:
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.path)
        else:
            s = socket.create_connection((self.host, self.port))
        s.settimeout(60 * SLOW)
        return s

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, self.port or 80, timeout=120 * SLOW)
        if self.path:
            connection.sock = self.socket()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        return self.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})

    def raw(self, content, close_sending=False):
        """All bytes that come until the server closes."""
        with self.socket() as s:
            s.sendall(content)
            if close_sending:
                s.shutdown(socket.SHUT_WR)
            return receive_all(s)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class UnreadServer(Server):
    """A server whose standard error is not this test's to read."""

    def __init__(self, stderr, front=(), env=None):
        self.host, self.port, self.path = "127.0.0.1", free_port(), None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")} | (env or {})
        command = [*front, BINARY, "serve", "--port", str(self.port), "--model", str(MODEL)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr, env=environment)
        deadline = time.monotonic() + 60 * SLOW
        while True:
            with contextlib.suppress(OSError):
                if self.get("/health").status == 200:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError("the server did not start")
            time.sleep(0.05)

    def dropped(self):
        found = re.search(r'wde_log_lines_dropped_total\{reason="unread"\} (\d+)', self.get("/metrics").body.decode())
        return int(found[1])

    def end(self, *signals):
        for one in signals:
            self.process.send_signal(one)
            time.sleep(0.05)
        return self.process.wait(timeout=30 * SLOW)


def receive_all(s):
    out = b""
    while True:
        try:
            part = s.recv(1 << 16)
        except ConnectionResetError:
            return out
        if not part:
            return out
        out += part


def in_threads(count, call):
    """call(i) for i < count, all at once; the results in order. Raises what a call raised."""
    results, errors = [None] * count, []

    def run(i):
        try:
            results[i] = call(i)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def embed_command(*texts, model=MODEL, command="embed", flags=()):
    """What the command line says of the texts: the numbers that every route must give."""
    process = subprocess.run(
        [BINARY, command, "--model", str(model), *flags, "--", *texts], capture_output=True, timeout=300 * SLOW, check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("WDE_")},
    )
    return [json.loads(line) for line in process.stdout.splitlines()]


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def cosine(a, b):
    return sum(x * y for x, y in zip(unit(a), unit(b)))


class Case(unittest.TestCase):
    def assertClose(self, found, expected, tolerance=1e-5):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertLess(abs(a - b), tolerance)

    def assertStatus(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        return answer.json if answer.body else None
