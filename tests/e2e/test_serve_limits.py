#!/usr/bin/env python3
"""What many clients together can take of `wde serve`: memory, connections, time. And what it takes and gives compressed.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import contextlib
import gzip
import json
import re
import socket
import time
import unittest
import zlib

from serving import SLOW, TEXTS, Case, Server, embed_command, in_threads, receive_all


def head(length, path=b"/embed", more=b""):
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (path, more, length)


def metric(server, name):
    return float(re.search(rf"^{name} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)[1])


def eventually(test, condition, seconds=10):
    deadline = time.monotonic() + seconds * SLOW
    while not condition():
        test.assertLess(time.monotonic(), deadline)
        time.sleep(0.05)


class Memory(Case):
    def test_bodies_count_as_they_come(self):
        flags = ["--payload-limit", "1000000", "--max-buffered-bytes", "1048576", "--body-timeout", "1"]
        with Server(flags=flags) as server, contextlib.ExitStack() as clients:
            silent = [clients.enter_context(server.socket()) for _ in range(20)]
            for s in silent:
                s.sendall(head(1000000))
            time.sleep(0.3)
            self.assertEqual(metric(server, "wde_buffered_bytes"), 0)
            self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
            # Nor do they wait for what they announced.
            self.assertIn(b" 408 ", receive_all(silent[0]))
            full = clients.enter_context(server.socket())
            full.sendall(head(1000000) + b" " * 900000)
            eventually(self, lambda: metric(server, "wde_buffered_bytes") == 900000)
            answer = server.post("/embed", json.dumps({"inputs": "a " * 150000}))
            self.assertEqual(answer.status, 503, answer)
            # Who holds memory without moving gives it up.
            time.sleep(2.2)
            self.assertEqual(server.post("/embed", json.dumps({"inputs": "a " * 150000})).status, 200)
            self.assertIn(receive_all(full)[9:12], (b"", b"408"))

    def test_answers_that_nobody_reads(self):
        body = json.dumps({"inputs": ["a"] * 2000}).encode()
        with Server(flags=["--max-buffered-bytes", str(16 << 20), "--write-timeout", "1"]) as server:
            size = len(server.post("/embed", body).body)
            sockets = []
            for _ in range(30):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect((server.host, server.port))
                s.sendall((head(len(body)) + body) * 5)
                sockets.append(s)
            seen = [0.0]

            def one_waits():
                seen.append(metric(server, "wde_buffered_bytes"))
                return max(seen) > size / 4

            eventually(self, one_waits, 30)
            for _ in range(20):
                one_waits()
                time.sleep(0.05)
            self.assertLessEqual(max(seen), 17 << 20)
            eventually(self, lambda: metric(server, "wde_buffered_bytes") == 0, 20)
            for s in sockets:
                s.close()
            self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)


class Connections(Case):
    def test_idle_ones_are_given_up_and_probes_answered(self):
        with Server(flags=["--max-connections", "40"]) as server, contextlib.ExitStack() as clients:
            for _ in range(200):
                clients.enter_context(server.socket())
                self.assertEqual(server.get("/health/live").status, 200)
            self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
            eventually(self, lambda: metric(server, "wde_connections_given_up_total") > 150)
            # Those that are busy are not: then only probes get in.
            tries = 0
            while server.get("/v1/models").status != 503:
                s = clients.enter_context(server.socket())
                with contextlib.suppress(OSError):
                    s.sendall(head(100) + b" ")
                tries += 1
                self.assertLess(tries, 400)
            for path in ["/health", "/health/live", "/health/ready", "/ping", "/metrics"]:
                self.assertEqual(server.get(path).status, 200, path)
            self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 503)

    def test_a_limit_for_each_address(self):
        with Server(flags=["--max-connections-per-address", "10"]) as server, contextlib.ExitStack() as clients:
            for _ in range(15):
                s = clients.enter_context(server.socket())
                s.sendall(head(100) + b" ")
            eventually(self, lambda: server.get("/v1/models").status == 503)
            self.assertEqual(server.get("/health").status, 200)
            other = clients.enter_context(socket.socket())
            other.bind(("127.0.0.2", 0))
            other.connect((server.host, server.port))
            other.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 200 ", receive_all(other))

    def test_requests_that_have_begun_keep_their_places(self):
        # However fast connections follow each other, and though a request is not handled yet when the next one comes.
        with Server(flags=["--max-connections-per-address", "10"]) as server, contextlib.ExitStack() as clients:
            def connect(address):
                s = clients.enter_context(socket.socket())
                s.settimeout(60 * SLOW)
                s.bind((address, 0))
                s.connect((server.host, server.port))
                return s

            for address in [f"127.0.0.{n}" for n in range(10, 30)]:
                for _ in range(10):
                    connect(address).sendall(head(100) + b" ")
                late = connect(address)
                late.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                self.assertIn(b" 503 ", receive_all(late), address)


class Compression(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(flags=["--payload-limit", "3000000"])

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_bodies(self):
        expected = [row["embedding"] for row in embed_command(*TEXTS)]
        body = json.dumps({"inputs": TEXTS}).encode()
        two = gzip.compress(body[:9]) + gzip.compress(body[9:])
        for coding, packed in [("gzip", gzip.compress(body)), ("x-gzip", gzip.compress(body)), ("GZIP", two), ("identity", body)]:
            found = self.assertStatus(self.server.post("/embed", packed, {"Content-Encoding": coding}), 200)
            for a, b in zip(found, expected):
                self.assertClose(a, b)
        show = gzip.compress(b'{"model": "bert-mean"}')
        self.assertStatus(self.server.post("/api/show", show, {"Content-Encoding": "gzip"}), 200)
        for coding in ["deflate", "br", "zstd", "gzip, gzip"]:
            self.assertEqual(self.server.post("/embed", body, {"Content-Encoding": coding}).status, 415, coding)
        whole = gzip.compress(body)
        for bad in [b"", body, whole[:-1], whole[:-8], whole + b"x", whole[:-8] + b"\0" * 8, zlib.compress(body)]:
            self.assertEqual(self.server.post("/embed", bad, {"Content-Encoding": "gzip"}).status, 400, bad)
        bomb = gzip.compress(b'{"inputs": "' + b" " * 2_900_000 + b'"}')
        large = gzip.compress(json.dumps({"inputs": [str(i * i) for i in range(300_000)]}).encode())
        for packed, says in [(bomb, "200 times"), (large, "3000000 bytes")]:
            answer = self.server.post("/v1/embeddings", packed, {"Content-Encoding": "gzip"})
            self.assertEqual(answer.status, 413)
            self.assertIn(says, answer.json["error"]["message"])

    def test_answers(self):
        body = {"input": [f"text {i}" for i in range(300)]}

        def ask(body, accept):
            return self.server.post("/v1/embeddings", body, {"Accept-Encoding": accept})

        plain, packed = ask(body, "identity"), ask(body, "gzip, deflate")
        self.assertEqual((plain.headers["Content-Encoding"], packed.headers["Content-Encoding"]), (None, "gzip"))
        self.assertIn("Accept-Encoding", plain.headers["Vary"])
        self.assertEqual(json.loads(gzip.decompress(packed.body))["data"], plain.json["data"])
        self.assertLess(len(packed.body), 0.6 * len(plain.body))
        # Where it is not worth it: a short answer, and base64.
        self.assertEqual(ask({"input": "a"}, "gzip").headers["Content-Encoding"], None)
        long = ask({"input": [f"text {i}" for i in range(1000)], "encoding_format": "base64"}, "gzip")
        self.assertGreater(len(long.body), 64 << 10)
        self.assertEqual(long.headers["Content-Encoding"], None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
