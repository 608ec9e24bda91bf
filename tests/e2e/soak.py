#!/usr/bin/env python3
"""Minutes of more than a server can bear: three times as many clients that ask properly as it lets in, beside clients that
vanish, stall, send half a body, 64 MB, nonsense, deep JSON, wrong types, NaN, and storms of connections. Nothing may crash, no
answer may be lost, late or another text's, who is refused is told so, and the memory stays flat.

    WDE_BINARY=… WDE_TEST_DATA=… tests/e2e/soak.py [SECONDS]      (test_serve_soak.py runs some seconds of it)
    … --model DIR                                                 (default: a tiny one of the test data)
    … --storm 10000                                               (connections at once; it raises its own limit of open files)
"""
import argparse
import http.client
import json
import pathlib
import random
import resource
import socket
import sys
import threading
import time

from serving import MODEL, SLOW, Server, embed_command

LET_IN = 6  # requests at a time
DEADLINE = 20 * SLOW
TEXTS = [f"text number {i}: " + "word " * (i % 40) for i in range(64)]


class Soak:
    def __init__(self, server, seconds, model, storm):
        self.server, self.connections = server, storm
        self.expected = {t: r["embedding"] for t, r in zip(TEXTS, embed_command(*TEXTS, model=model))}
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.counts, self.problems = {}, []

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def problem(self, sentence):
        with self.lock:
            self.problems.append(sentence)

    def running(self):
        return time.monotonic() < self.end and not self.problems

    def proper(self, seed):
        """Keep-alive, batches of different sizes; an answer or a refusal to each, and the answer is right."""
        rng = random.Random(seed)
        connection = None
        while self.running():
            texts = rng.choices(TEXTS, k=rng.choice([1, 1, 1, 8, 32, 100]))
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=120 * SLOW)
                start = time.monotonic()
                connection.request("POST", "/v1/embeddings", json.dumps({"input": texts}),
                                   {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(1000 * DEADLINE)})
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                # A server that is full of connections may close one before it is heard; never a running request.
                self.count("connection refused")
                connection = None
                time.sleep(0.05)
                continue
            self.count(response.status)
            if response.status == 200:
                if time.monotonic() - start > DEADLINE + 5 * SLOW:
                    self.problem(f"an answer {time.monotonic() - start:.1f} s after its question, whose deadline was {DEADLINE} s")
                found = [d["embedding"] for d in json.loads(content)["data"]]
                if len(found) != len(texts):
                    self.problem(f"{len(texts)} texts, {len(found)} vectors")
                for text, vector in zip(texts, found):
                    if max(abs(a - b) for a, b in zip(vector, self.expected[text])) > 1e-6:
                        self.problem("an answer belongs to another text")
            elif response.status in (429, 503):
                if "Retry-After" not in response.headers:
                    self.problem(f"{response.status} without Retry-After")
                time.sleep(0.02)
            else:
                self.problem(f"status {response.status}: {content[:200]}")
            if response.headers.get("Connection") == "close":
                connection.close()
                connection = None

    def hostile(self, seed):
        rng = random.Random(seed)
        body = json.dumps({"input": TEXTS}).encode()
        head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        whole = head % len(body) + body

        def nonsense():
            return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 400))) + b"\r\n\r\n"

        def post(content):
            return head % len(content) + content

        contents = [
            lambda: whole,  # and gone
            lambda: whole[: rng.randrange(len(whole))],
            lambda: head % (64 << 20) + b" " * 100000,
            lambda: head % (64 << 20) + b'{"input": "' + b"a" * (64 << 20),
            lambda: b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 1024,
            lambda: post(b"[" * 100000),
            lambda: post(b'{"input":' + b"[" * 31 + b"]" * 31 + b"}"),
            lambda: post(b'{"input": NaN}'),
            lambda: post(b'{"input": [1e999, null, {}]}'),
            lambda: post(b'{"input": "\xff\xfe"}'),
            lambda: post(b'{"input": "' + b"a" * 500000 + b'"}'),
            lambda: b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 2000,
            lambda: b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
            nonsense,
        ]
        while self.running():
            try:
                with socket.create_connection((self.server.host, self.server.port), timeout=10) as s:
                    if rng.random() < 0.3:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    s.sendall(rng.choice(contents)())
                    time.sleep(rng.choice([0, 0, 0, 0.01, 0.2, 3]))
                    if rng.random() < 0.3:
                        s.recv(100)
            except OSError:
                pass
            self.count("hostile")

    def storm(self):
        while self.running():
            sockets = []
            try:
                for _ in range(self.connections):
                    s = socket.socket()
                    s.setblocking(False)
                    s.connect_ex((self.server.host, self.server.port))
                    sockets.append(s)
            except OSError:
                pass
            time.sleep(0.3)
            for s in sockets:
                s.close()
            self.count("storm")
            time.sleep(1)

    def health(self):
        while self.running():
            start = time.monotonic()
            try:
                if self.server.get("/health/live").status != 200:
                    self.count("health refused")
            except OSError:
                self.count("health refused")
            if time.monotonic() - start > 3 * SLOW:
                self.problem(f"/health took {time.monotonic() - start:.1f} s")
            time.sleep(0.1)

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0

    def run(self):
        threads = [threading.Thread(target=self.proper, args=(i,)) for i in range(3 * LET_IN)]
        threads += [threading.Thread(target=self.hostile, args=(100 + i,)) for i in range(6)]
        threads += [threading.Thread(target=self.storm), threading.Thread(target=self.health)]
        for thread in threads:
            thread.start()
        memory, start = [], time.monotonic()
        while self.running():
            time.sleep(min(1, max(0.1, self.end - time.monotonic())))
            if self.server.process.poll() is not None:
                self.problem(f"the server ended: {self.server.process.returncode}")
                break
            memory.append(self.resident())
        for thread in threads:
            thread.join()
        print(f"{time.monotonic() - start:.0f} s: {self.counts}")
        if memory:
            print("resident MB:", [round(m) for m in memory[:: max(1, len(memory) // 12)]])
        warm, late = memory[len(memory) // 3 :], memory[-max(1, len(memory) // 10) :]
        if len(memory) > 60 and max(late) > 1.3 * max(warm[: max(1, len(warm) // 4)]) + 30:
            self.problem("the memory grows")
        return self.problems


def soak(seconds, model=MODEL, storm=1000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, storm + 1000) if hard != resource.RLIM_INFINITY else storm + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with Server(model, flags=["--max-concurrent-requests", str(LET_IN), "--max-connections", "400", "--payload-limit", "1000000",
                       "--header-timeout", "2", "--body-timeout", "2", "--access-log", "off"]) as server:
        problems = Soak(server, seconds, model, storm).run()
        if server.process.poll() is None and server.post("/embed", {"inputs": "still there"}).status != 200:
            problems.append("it does not answer afterwards")
        problems += [server.log()[-3000:]] if problems else []
    return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=600)
    parser.add_argument("--model", default=MODEL, type=pathlib.Path)
    parser.add_argument("--storm", type=int, default=1000)
    options = parser.parse_args()
    found = soak(options.seconds, options.model, options.storm)
    for sentence in found:
        print("PROBLEM:", sentence)
    sys.exit(1 if found else 0)
