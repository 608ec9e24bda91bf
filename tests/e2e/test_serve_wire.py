#!/usr/bin/env python3
"""What hostile, slow and vanished clients do to `wde serve`: nothing. Raw sockets; whatever happens, the server answers the
next request correctly.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import unittest

from serving import SLOW, Server, embed_command, in_threads, receive_all

BODY = b'{"inputs": "a text"}'


def setUpModule():
    global server, VECTOR
    server = Server(flags=["--header-timeout", "1", "--body-timeout", "1", "--idle-timeout", "2",
                           "--payload-limit", "200000", "--max-connections", "300"])
    VECTOR = server.post("/embed", json.loads(BODY)).json[0]


def tearDownModule():
    server.stop()


def head(*lines, path=b"/embed", method=b"POST", version=b"1.1"):
    kind = [b"Content-Type: application/json"] if method == b"POST" else []
    return b"\r\n".join([method + b" " + path + b" HTTP/" + version, *lines, *kind]) + b"\r\n\r\n"


def post(body=BODY, *lines, **options):
    return head(b"Host: localhost", b"Content-Length: %d" % len(body), *lines, **options) + body


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


class Case(unittest.TestCase):
    def tearDown(self):
        self.assertIsNone(server.process.poll(), "the server died")
        self.assertEqual(server.post("/embed", json.loads(BODY)).json[0], VECTOR)


class Framing(Case):
    def test_smuggling_is_refused(self):
        table = {
            "both": [b"Content-Length: 20", b"Transfer-Encoding: chunked"],
            "both, other order": [b"Transfer-Encoding: chunked", b"Content-Length: 20"],
            "two lengths": [b"Content-Length: 20", b"Content-Length: 20"],
            "two other lengths": [b"Content-Length: 20", b"Content-Length: 2"],
            "list of lengths": [b"Content-Length: 20, 20"],
            "negative": [b"Content-Length: -1"],
            "plus": [b"Content-Length: +20"],
            "hex": [b"Content-Length: 0x14"],
            "words": [b"Content-Length: twenty"],
            "empty": [b"Content-Length: "],
            "too long a number": [b"Content-Length: 99999999999999999999999"],
            "unknown encoding": [b"Transfer-Encoding: gzip"],
            "gzip, chunked": [b"Transfer-Encoding: gzip, chunked"],
            "chunked, identity": [b"Transfer-Encoding: chunked, identity"],
            "chunked twice": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            "xchunked": [b"Transfer-Encoding: xchunked"],
            "space before colon": [b"Content-Length : 20"],
            "no name": [b": 20"],
            "no colon": [b"Content-Length 20"],
            "control in value": [b"X: a\x00b"],
        }
        for name, lines in table.items():
            with self.subTest(name):
                answer = server.raw(head(b"Host: localhost", *lines) + BODY + head(b"Host: localhost", method=b"GET", path=b"/smuggled"))
                self.assertIn(statuses(answer), ([400], [413]), answer[:300])
                self.assertIn(b"Connection: close", answer)

    def test_hosts_and_versions(self):
        self.assertEqual(statuses(server.raw(head(method=b"GET", path=b"/health"))), [400])
        self.assertEqual(statuses(server.raw(head(b"Host: localhost", b"Host: b", method=b"GET", path=b"/health"))), [400])
        self.assertEqual(statuses(server.raw(head(method=b"GET", path=b"/health", version=b"1.0"))), [200])
        chunked = head(b"Transfer-Encoding: chunked", version=b"1.0") + b"0\r\n\r\n"
        self.assertEqual(statuses(server.raw(chunked)), [400])
        self.assertIn(statuses(server.raw(head(b"Host: localhost", version=b"2.0"))), ([400], [505]))
        self.assertIn(statuses(server.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), ([400], [505]))
        self.assertEqual(statuses(server.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")), [400])
        self.assertEqual(statuses(server.raw(b"hello\r\n\r\n")), [400])
        for target in [b"health", b"/%", b"/%zz", b"/%00"]:
            self.assertEqual(statuses(server.raw(head(b"Host: localhost", method=b"GET", path=target))), [400], target)
        absolute = head(b"Host: localhost", b"Connection: close", method=b"GET", path=b"http://a/health")
        self.assertEqual(statuses(server.raw(absolute)), [200])

    def test_chunked_bodies(self):
        def chunked(content):
            return head(b"Host: localhost", b"Transfer-Encoding: chunked", b"Connection: close") + content

        good = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
        answer = server.raw(chunked(good))
        self.assertEqual(statuses(answer), [200])
        self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])[0], VECTOR)
        for bad in [b"x\r\n", b"-2\r\nab\r\n", b"fffffffffffffffff\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"1" * 20000]:
            with self.subTest(bad[:20]):
                self.assertIn(statuses(server.raw(chunked(bad))), ([400], [413]))
        self.assertEqual(statuses(server.raw(chunked(b"30d41\r\n" + b" " * 200001 + b"\r\n0\r\n\r\n"))), [413])

    def test_pipelining_keeps_the_order(self):
        texts = [f"text {i}" for i in range(20)]
        expected = [row["embedding"] for row in embed_command(*texts)]
        content = b"".join(post(json.dumps({"input": t}).encode(), path=b"/v1/embeddings") for t in texts)
        content += post(BODY, b"Connection: close")
        answer = server.raw(content)
        self.assertEqual(statuses(answer), [200] * 21)
        found = [json.loads(m) for m in re.findall(rb'\{"object":"list".*?\}\}(?=HTTP|$)', answer)]
        self.assertEqual(len(found), 20)
        for one, vector in zip(found, expected):
            self.assertTrue(all(abs(a - b) < 1e-6 for a, b in zip(one["data"][0]["embedding"], vector)))

    def test_keep_alive(self):
        with server.socket() as s:
            for _ in range(3):
                s.sendall(post())
                answer = b""
                while not answer.endswith(b"]]"):
                    answer += s.recv(65536) or self.fail(answer)
                self.assertEqual(statuses(answer), [200])
                self.assertIn(b"Connection: keep-alive", answer)

    def test_expect_continue(self):
        with server.socket() as s:
            s.sendall(head(b"Host: localhost", b"Content-Length: %d" % len(BODY), b"Expect: 100-continue", b"Connection: close"))
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(BODY)
            self.assertEqual(statuses(receive_all(s)), [200])
        expecting = head(b"Host: localhost", b"Content-Length: 5", b"Expect: 100-continue", path=b"/none")
        self.assertEqual(statuses(server.raw(expecting)), [404])
        self.assertEqual(statuses(server.raw(head(b"Host: localhost", b"Content-Length: 5", b"Expect: tea"))), [417])


class Limits(Case):
    def test_headers(self):
        self.assertEqual(statuses(server.raw(head(b"Host: localhost", b"X: " + b"a" * 20000))), [431])
        self.assertEqual(statuses(server.raw(head(b"Host: localhost", *[b"X%d: a" % i for i in range(150)]))), [431])
        self.assertEqual(statuses(server.raw(b"GET /" + b"a" * 100000)), [431])

    def test_bodies(self):
        self.assertEqual(statuses(server.raw(head(b"Host: localhost", b"Content-Length: 200001"))), [413])
        large = b'{"inputs": "' + b"a" * 300000 + b'"}'
        self.assertEqual(server.post("/embed", large).status, 413)
        self.assertEqual(server.post("/v1/embeddings", large).status, 413)
        self.assertEqual(server.post("/embed", b"[" * 199999).status, 400)
        self.assertEqual(server.post("/embed", b'{"inputs": [' + b"1," * 50000 + b"1]}").status, 422)

    def test_slow_header(self):
        with server.socket() as s:
            s.sendall(b"POST /embed HT")
            start = time.monotonic()
            self.assertEqual(statuses(receive_all(s)), [408])
            self.assertLess(time.monotonic() - start, 5 * SLOW)

    def test_half_body(self):
        with server.socket() as s:
            s.sendall(post()[:-5])
            self.assertEqual(statuses(receive_all(s)), [408])
        with server.socket() as s:  # a byte now and then does not help
            s.sendall(head(b"Host: localhost", b"Content-Length: 1000"))
            start = time.monotonic()
            answer = b""
            try:
                for _ in range(100):
                    s.sendall(b" ")
                    time.sleep(0.1)
            except OSError:
                pass
            answer = receive_all(s)
            self.assertIn(statuses(answer), ([408], []))
            self.assertLess(time.monotonic() - start, 12 * SLOW)

    def test_idle_connections_are_closed(self):
        with server.socket() as s:
            start = time.monotonic()
            self.assertEqual(receive_all(s), b"")
            self.assertLess(time.monotonic() - start, 6 * SLOW)

    def test_a_storm_of_connections(self):
        sockets = []
        try:
            for _ in range(800):
                s = socket.socket()
                s.settimeout(10 * SLOW)
                s.connect((server.host, server.port))
                sockets.append(s)
            # The oldest of those that wait for nothing are given up for the newest.
            answered = 0
            for s in sockets[500:]:
                try:
                    s.sendall(head(b"Host: localhost", b"Connection: close", method=b"GET", path=b"/health"))
                    answered += b" 200 " in receive_all(s)
                except OSError:
                    pass
            self.assertGreater(answered, 250)
        finally:
            for s in sockets:
                s.close()
        deadline = time.monotonic() + 10 * SLOW
        while not self.healthy():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def healthy(self):
        try:
            return server.get("/health").status == 200
        except (OSError, http.client.HTTPException):
            return False


class Vanishing(Case):
    def test_clients_that_leave(self):
        # All ask before any leaves: together they ask for more than a fast machine computes in the time that they stay.
        body = json.dumps({"inputs": ["some words " * 50] * 300}).encode()
        before = self.dropped()
        with contextlib.ExitStack() as clients:
            for _ in range(10):
                clients.enter_context(server.socket()).sendall(post(body))
            time.sleep(0.02)
        # What they asked for is not computed to its end: the next request does not wait for it.
        deadline = time.monotonic() + 30 * SLOW
        while self.dropped() - before < 5:
            self.assertLess(time.monotonic(), deadline, server.get("/metrics").body.decode()[-3000:])
            time.sleep(0.1)

    def dropped(self):
        found = re.search(r'te_request_failure\{err="dropped",[^}]*\} (\d+)', server.get("/metrics").body.decode())
        return int(found[1]) if found else 0

    def test_clients_that_reset(self):
        for _ in range(50):
            s = server.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            s.sendall(post())
            s.close()

    def test_clients_that_do_not_read(self):
        sockets = []
        for _ in range(20):
            s = server.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            s.sendall(post(json.dumps({"inputs": ["a"] * 500}).encode()) * 3)
            sockets.append(s)
        time.sleep(1)
        for s in sockets:
            s.close()

    def test_health_does_not_wait(self):
        body = {"inputs": ["some words " * 100] * 150}
        busy = [None]

        def load(i):
            if i < 3:
                return server.post("/embed", body).status
            time.sleep(0.2)
            worst = 0
            for _ in range(20):
                start = time.monotonic()
                self.assertEqual(server.get("/health").status, 200)
                worst = max(worst, time.monotonic() - start)
                time.sleep(0.02)
            busy[0] = worst
            return 200

        self.assertEqual(in_threads(4, load), [200] * 4)
        self.assertLess(busy[0], 1.0 * SLOW)


class Tls(unittest.TestCase):
    def test_tls(self):
        import shutil
        import ssl

        if not shutil.which("openssl"):
            self.skipTest("no openssl program here")
        with tempfile.TemporaryDirectory() as directory:
            cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
            secure = Server(flags=["--tls-cert", cert, "--tls-key", key], wait=False)
            context = ssl.create_default_context(cafile=cert)
            context.check_hostname = False

            def ask(content):
                with secure.socket() as plain, context.wrap_socket(plain) as s:
                    s.sendall(content)
                    return receive_all(s)

            closing = [b"Host: localhost", b"Connection: close"]
            deadline = time.monotonic() + 60 * SLOW
            while statuses(ask(head(*closing, method=b"GET", path=b"/health"))) != [200]:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            answer = ask(post(BODY, b"Connection: close"))
            self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])[0], VECTOR)
            self.assertNotIn(b"200", secure.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            with secure.socket() as s:  # no handshake at all
                s.sendall(b"\x16\x03\x01")
            secure.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
