#!/usr/bin/env python3
"""`wde serve` at its end and with its log: signals while it works, a standard error that nobody reads or that is not there,
what the log says and what it leaves out.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import contextlib
import json
import os
import re
import signal
import socket
import tempfile
import time
import unittest

from serving import SLOW, Case, Server, UnreadServer, in_threads, receive_all


class Draining(Case):
    def test_every_new_request_is_refused_in_words(self):
        leaving = Server()
        s = leaving.socket()
        body = json.dumps({"inputs": ["some words " * 100] * 2000}).encode()
        s.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        waiting = [leaving.socket() for _ in range(50)]  # connected before, asking after
        time.sleep(0.2)
        leaving.process.send_signal(signal.SIGTERM)
        request = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + b'{"inputs": "a"}'

        def ask(i):
            answers = []
            for k in range(50):
                with (waiting[i * 10 + k] if i < 5 and k < 10 else leaving.socket()) as client:
                    client.sendall(request)
                    answers.append(receive_all(client))
            return answers

        answers = sum(in_threads(10, ask), [])
        refused = [a for a in answers if b" 503 " in a and b"Connection: close" in a]
        taken = [a for a in answers if b" 200 " in a]  # before the signal was heard
        self.assertEqual(len(refused) + len(taken), 500, answers[-1][:300])
        self.assertGreater(len(refused), 400)
        self.assertIn(b" 200 ", receive_all(s)[:20])
        s.close()
        leaving.stop()

    def test_idle_connections_do_not_keep_it(self):
        leaving = Server()
        with leaving.socket() as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.recv(1000)
            start = time.monotonic()
            leaving.stop()
            self.assertLess(time.monotonic() - start, 3 * SLOW)


class Hanging(Case):
    def test_the_second_signal_ends_it_all_the_same(self):
        with tempfile.TemporaryDirectory() as directory:
            pipe = os.path.join(directory, "trace")
            os.mkfifo(pipe)  # nobody reads it, so that loading never ends
            server = Server(flags=["--trace", pipe], wait=False)
            for _ in range(2):
                server.process.send_signal(signal.SIGTERM)
                time.sleep(1)
            start = time.monotonic()
            self.assertNotEqual(server.process.wait(timeout=30 * SLOW), 0)
            self.assertLess(time.monotonic() - start, 3 * SLOW)


class StandardError(Case):
    def test_closed_full_or_broken(self):
        read, broken = os.pipe()
        os.close(read)
        full = os.open("/dev/full", os.O_WRONLY)
        closed = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh"]
        for name, stderr, front in [("closed", None, closed), ("full", full, ()), ("broken", broken, ())]:
            with self.subTest(name):
                server = UnreadServer(stderr, front)
                for _ in range(20):
                    self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
                time.sleep(0.2)
                self.assertGreaterEqual(server.dropped(), 20)
                self.assertEqual(server.end(signal.SIGTERM), 0)
        os.close(broken)
        os.close(full)

    def test_a_pipe_that_nobody_reads(self):
        for signals, statuses in [([signal.SIGTERM], [0]), ([signal.SIGTERM, signal.SIGINT], [0, 1])]:
            read, write = os.pipe()
            os.set_blocking(write, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(write, b"x" * 4096)
            os.set_blocking(write, True)
            server = UnreadServer(write)
            os.close(write)
            for _ in range(50):
                self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
            start = time.monotonic()
            self.assertIn(server.end(*signals), statuses)
            self.assertLess(time.monotonic() - start, 5 * SLOW)
            os.close(read)


class Log(Case):
    def test_equal_lines_are_left_out_and_counted(self):
        with Server() as server:
            for i in range(300):
                self.assertEqual(server.post("/embed", {"inputs": []}).status, 400)
                self.assertEqual(server.get(f"/none/{i}").status, 404)
            self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
            log = server.stop()
        for status, path in [(400, "/embed"), (404, "/none/")]:
            lines = len(re.findall(rf" {path}\S* {status} ", log))
            left_out = sum(int(n) for n in re.findall(rf'left out (\d+) more lines like: "{status} ', log))
            self.assertEqual((lines <= 40, lines + left_out), (True, 300), (status, lines, left_out))
        self.assertEqual(len(re.findall(r"POST /embed 200 ", log)), 1)

    def test_what_is_refused_at_the_door(self):
        with Server(flags=["--access-log", "json", "--api-key", "k", "--header-timeout", "0.5"]) as server:
            def raw(text):
                return server.raw(text.replace(b"\n", b"\r\n"))

            server.post("/embed", {"inputs": "a"})
            key = {"Authorization": "Bearer k"}
            server.get("/nothing", key)
            server.request("DELETE", "/embed", headers=key)
            server.request("POST", "/embed", "x", {"Content-Type": "image/png", **key})
            raw(b"POST /embed HTTP/1.1\nHost: localhost\nExpect: tea\nContent-Length: 3\n\n")
            raw(b"GET / HTTP/1.1\nHost: localhost\nX: " + b"a" * 20000 + b"\n\n")
            raw(b"GET / HTTP/1.1\nHost: a\nHost: b\n\n")
            raw(b"hello\n\n")
            raw(b"GET / HTT")
            lines = [json.loads(line) for line in server.stop().splitlines()]
        found = [line["status"] for line in lines if line.get("status", 0) != 503 and "status" in line]
        self.assertEqual(sorted(found), [400, 400, 401, 404, 405, 408, 415, 417, 431])
        said = [line["message"] for line in lines if "message" in line]
        self.assertTrue(said[0].startswith("listening on "), said)
        self.assertEqual(said[-1], "stopped")

    def test_text_lines_can_be_taken_apart(self):
        with Server() as server:
            odd = {"X-Request-Id": 'a"b=c', "traceparent": 'x" error="none'}
            server.post('/embed', '{"inputs": "a", "prompt_name": "no \\"such\\" \\n\\u009b prompt"}', odd)
            server.request("GET", "/a%20b%22%5c%C3%A4")
            log = server.stop()
        line = next(line for line in log.splitlines() if "POST /embed" in line)
        fields = dict(re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)', line))
        self.assertEqual(json.loads(fields["id"]), odd["X-Request-Id"])
        self.assertEqual(json.loads(fields["trace"]), odd["traceparent"])
        self.assertIn('no "such"', json.loads(fields["error"]))
        self.assertNotRegex(line, "[\x00-\x1f\x7f-\x9f]")
        self.assertIn(" GET /a%20b%22%5C%C3%A4 404 ", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
