#!/usr/bin/env python3
"""Minutes of more than a server can bear: three times as many clients that ask properly as it lets in, beside clients that
vanish, stall, send half a body, 64 MB, nonsense, deep JSON, wrong types, NaN, storms of connections, and all that attackers.py
knows. Nothing may crash, no answer may be lost, late or another text's, who is refused is told so, /health/live answers within
100 ms, and the memory stays below the bound that docs/serve.md explains. Then how many texts a second 2 and 24 clients get
that post 2,048 titles each, again and again: 24 get at least 80 % of what 2 get.

    WDE_BINARY=… WDE_TEST_DATA=… tests/e2e/soak.py [SECONDS]      (test_serve_soak.py runs some seconds of it)
    … --model DIR                                                 (default: a tiny one of the test data)
    … --storm 10000                                               (connections at once; it raises its own limit of open files)
"""
import argparse
import http.client
import json
import multiprocessing
import pathlib
import random
import resource
import socket
import sys
import threading
import time

import attackers
from serving import DATA, MODEL, SLOW, Server, embed_command

LET_IN = 6  # requests at a time
DEADLINE = 20 * SLOW
MIB = 1 << 20
PAYLOAD, BUFFERED, QUEUED, ANSWERS = 4_000_000, 64 * MIB, 16 * MIB, 64 * MIB
FLAGS = ["--max-concurrent-requests", str(LET_IN), "--max-connections", "400", "--payload-limit", str(PAYLOAD), "--header-timeout", "2",
         "--body-timeout", "2", "--access-log", "off", "--max-buffered-bytes", str(BUFFERED), "--max-queue-bytes", str(QUEUED),
         "--max-answer-bytes", str(ANSWERS), "--max-image-pixels", "16000000"]
# As docs/serve.md has it, above what the server has when it is ready: bodies and answers on the wire, what is made of bodies
# that are worked on, answers that are computed, and one text in the tokenizer.
BOUND_MB = (BUFFERED + 4 * QUEUED + ANSWERS + 256 * MIB) / MIB
HEALTH_SECONDS = 0.1
TEXTS = [f"text number {i}: " + "word " * (i % 40) for i in range(64)]


def probe(host, port, stop, found):
    """Of a process of its own, which nobody's lock holds up: seconds that /health/live took."""
    times, failed = [], 0
    while not stop.is_set():
        start = time.monotonic()
        try:
            with socket.create_connection((host, port), timeout=10) as s:
                s.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                failed += not s.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            failed += 1
        times.append(time.monotonic() - start)
        time.sleep(0.05)
    found.put((times, failed))


def post_titles(host, port, clients, seconds, found):
    """Of a process of its own: texts a second that so many clients get who post 2,048 titles each and come again when told."""
    end, texts, statuses, lock = time.monotonic() + seconds, [0], {}, threading.Lock()
    body = json.dumps({"input": [f"the title of document {i}" for i in range(2048)], "encoding_format": "base64"}).encode()

    def client():
        connection = None
        while time.monotonic() < end:
            try:
                connection = connection or http.client.HTTPConnection(host, port, timeout=120 * SLOW)
                connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection = None
                continue
            with lock:
                statuses[response.status] = statuses.get(response.status, 0) + 1
                if response.status == 200 and time.monotonic() < end:
                    texts[0] += 2048
            if response.status in (429, 503):
                time.sleep(min(float(response.headers.get("Retry-After", 1)), max(0, end - time.monotonic())))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.put((texts[0] / seconds, statuses))


def in_process(function, *arguments):
    found = multiprocessing.Queue()
    process = multiprocessing.Process(target=function, args=(*arguments, found))
    process.start()
    return process, found


class Soak:
    def __init__(self, server, seconds, model, storm, health):
        self.server, self.connections, self.health = server, storm, health
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

    def attacker(self, seed):
        rng = random.Random(seed)
        while self.running():
            attack = rng.choice(attackers.ALL)
            try:
                status = attack(self.server, rng)
            except OSError:
                status = 0
            if status not in attackers.FINE:
                self.problem(f"{attack.__name__}: status {status}")
            self.count(f"{attack.__name__} {status}")
            time.sleep(0.01)

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0

    def run(self):
        threads = [threading.Thread(target=self.proper, args=(i,)) for i in range(3 * LET_IN)]
        threads += [threading.Thread(target=self.hostile, args=(100 + i,)) for i in range(6)]
        threads += [threading.Thread(target=self.attacker, args=(200 + i,)) for i in range(4)]
        threads += [threading.Thread(target=self.storm)]
        before = self.resident()
        stop = multiprocessing.Event()
        prober, probes = in_process(probe, self.server.host, self.server.port, stop)
        for thread in threads:
            thread.start()
        memory, start = [], time.monotonic()
        while self.running():
            time.sleep(min(0.5, max(0.1, self.end - time.monotonic())))
            if self.server.process.poll() is not None:
                self.problem(f"the server ended: {self.server.process.returncode}")
                break
            memory.append(self.resident())
        for thread in threads:
            thread.join()
        stop.set()
        times, failed = probes.get()
        prober.join()
        print(f"{time.monotonic() - start:.0f} s:", ", ".join(f"{what} {n}" for what, n in sorted(self.counts.items(), key=str)))
        self.judge_health(sorted(times), failed)
        self.judge_memory(before, memory)
        return self.problems

    def judge_health(self, times, failed):
        late, late_limit = times[int(0.99 * len(times))], self.health * SLOW
        print(f"/health/live: {len(times)} asked, {failed} not answered; 50 % within {1000 * times[len(times) // 2]:.1f} ms, "
              f"99 % within {1000 * late:.1f} ms, the last {1000 * times[-1]:.1f} ms")
        if late > late_limit:
            self.problem(f"/health/live took {1000 * late:.0f} ms for one of a hundred, at most {1000 * late_limit:.0f} are allowed")

    def judge_memory(self, before, memory):
        if not memory or SLOW > 1:  # sanitizers have memory of their own
            return
        print(f"resident MB: {before:.0f} at first, {max(memory):.0f} at most; the bound is {before + BOUND_MB:.0f};",
              [round(m) for m in memory[:: max(1, len(memory) // 12)]])
        if max(memory) > before + BOUND_MB:
            self.problem(f"resident memory of {max(memory):.0f} MB, and the bound is {before + BOUND_MB:.0f} MB")
        warm, late = memory[len(memory) // 3 :], memory[-max(1, len(memory) // 10) :]
        if len(memory) > 120 and max(late) > 1.3 * max(warm[: max(1, len(warm) // 4)]) + 30:
            self.problem("the memory grows")


def judge_throughput(server, seconds):
    """Useful texts a second must not fall with the load."""
    rates, problems = {}, []
    for clients in (2, 24):
        process, found = in_process(post_titles, server.host, server.port, clients, seconds)
        rates[clients], statuses = found.get()
        process.join()
        print(f"{clients} clients that post 2,048 titles each: {rates[clients]:.0f} texts/s, statuses {statuses}")
        if not statuses.keys() <= {200, 429}:
            problems.append(f"{clients} clients got {statuses}")
    print(f"24 clients get {100 * rates[24] / max(1, rates[2]):.0f} % of what 2 get")
    if rates[24] < 0.8 * rates[2]:
        problems.append(f"useful texts/s fall with the load: {rates[2]:.0f} with 2 clients, {rates[24]:.0f} with 24")
    return problems


def soak(seconds, model=MODEL, storm=1000, measured=0, health=HEALTH_SECONDS):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, storm + 1000) if hard != resource.RLIM_INFINITY else storm + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    models = [model] if model.name == "clip" else [model, DATA / "clip"]
    with Server(*models, flags=FLAGS) as server:
        problems = Soak(server, seconds, model, storm, health).run()
        if server.process.poll() is None and server.post("/embed", {"inputs": "still there"}).status != 200:
            problems.append("it does not answer afterwards")
        if not problems and measured > 0:
            problems += judge_throughput(server, measured)
        problems += [server.log()[-3000:]] if problems else []
    return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=600)
    parser.add_argument("--model", default=MODEL, type=pathlib.Path)
    parser.add_argument("--storm", type=int, default=1000)
    options = parser.parse_args()
    found = soak(options.seconds, options.model, options.storm, measured=max(5, options.seconds / 20))
    for sentence in found:
        print("PROBLEM:", sentence)
    print("FAILED" if found else "PASSED")
    sys.exit(1 if found else 0)
