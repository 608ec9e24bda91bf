#!/usr/bin/env python3
"""A server whose sockets or whose standard error fail, are short or slow: a connection may end, a line be lost; the server and the answers are not.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import http.client
import json
import os
import pathlib
import re
import signal
import tempfile
import time
import unittest

import cli
import faults
from serving import Server, UnreadServer


def setUpModule():
    faults.require()


class Sockets(cli.Case):
    def ask(self, server, text):
        """The vector; None where the connection ended."""
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        try:
            connection.request("POST", "/embed", json.dumps({"inputs": [text] * 20}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            self.assertEqual(answer.status, 200, body)
            return json.loads(body)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait_for_model(self, server):
        """By the log, so that no request of the test's own counts."""
        deadline = time.monotonic() + 60
        while "ready: " not in server.log():
            self.assertIsNone(server.process.poll(), server.log())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_each_read_and_write(self):
        with Server() as server:
            right = self.ask(server, "a text")
        for rule in ("read path=socket: error=ECONNRESET", "write path=socket: error=EPIPE", "write path=socket: error=EIO"):
            for number in range(1, 7):
                with self.subTest(rule=rule, number=number), faults.Faults(f"{rule} nth={number}") as struck:
                    server = Server(env=struck.environment, wait=False)
                    self.addCleanup(server.process.kill)
                    self.wait_for_model(server)
                    answers = [self.ask(server, "a text") for _ in range(7)]
                    self.assertIsNone(server.process.poll(), server.log())
                    for answer in answers:
                        self.assertIn(answer, (None, right))
                    self.assertEqual(answers[-1], right)
                    server.stop()

    def test_short_reads_and_writes(self):
        with Server() as server:
            right = self.ask(server, "a text")
        for rule in ("read path=socket: short=7", "write path=socket: short=7", "read path=socket: nth=3 error=EINTR"):
            with self.subTest(rule=rule), faults.Faults(rule) as struck:
                with Server(env=struck.environment) as server:
                    self.assertEqual(self.ask(server, "a text"), right)


class StandardError(cli.Case):
    """The log's writes, by rule: all requests get their answers, lines are counted that are lost, and SIGTERM ends the server."""

    def run_server(self, rule, requests=20):
        """(lines of requests that were written, lines counted as lost, its seconds of CPU in 0.3 s without requests)"""
        with tempfile.TemporaryFile() as log, faults.Faults(rule) as struck:
            server = UnreadServer(log, env=struck.environment)
            self.addCleanup(server.process.kill)
            begin = time.monotonic()
            for _ in range(requests):
                answer = server.post("/embed", {"inputs": "a text"})
                self.assertEqual((answer.status, answer.json), (200, self.right))
            self.assertLess(time.monotonic() - begin, 5)
            busy = self.cpu_seconds(server)
            time.sleep(0.3)
            busy = self.cpu_seconds(server) - busy
            lost = server.dropped()
            begin = time.monotonic()
            self.assertEqual(server.end(signal.SIGTERM), 0)
            self.assertLess(time.monotonic() - begin, 5)
            self.assertGreater(struck.struck(), 0)
            log.seek(0)
            return len(re.findall(rb"POST /embed 200 [^\n]*\n", log.read())), lost, busy

    @staticmethod
    def cpu_seconds(server):
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @classmethod
    def setUpClass(cls):
        with Server() as server:
            cls.right = server.post("/embed", {"inputs": "a text"}).json

    def test_nothing_is_taken(self):
        for error in ("EIO", "ENOSPC"):
            with self.subTest(error=error):
                written, lost, _ = self.run_server(f"write fd=2 error={error}")
                self.assertEqual(written, 0)
                self.assertGreaterEqual(lost, 20)

    def test_some_are_not_taken(self):
        written, lost, _ = self.run_server("write fd=2 nth=4 error=ENOSPC; write fd=2 nth=9 error=EIO")
        self.assertLess(written, 21)
        self.assertGreaterEqual(written + lost, 20)
        self.assertGreater(lost, 0)

    def test_not_now(self):
        rules = "; ".join(f"write fd=2 nth={number} error={error}" for number, error in enumerate(["EAGAIN", "EINTR"] * 4, 1))
        self.assertEqual(self.run_server(rules)[:2], (20, 0))
        # Never: nobody waits, and the waiting does not keep a core busy.
        _, lost, busy = self.run_server("write fd=2 error=EAGAIN")
        self.assertEqual(lost, 0)
        self.assertLess(busy, 0.15)

    def test_short(self):
        self.assertEqual(self.run_server("write fd=2 short=7")[:2], (20, 0))

    def test_slow(self):
        self.assertEqual(self.run_server("write fd=2 delay=100")[:2], (20, 0))
        self.assertEqual(self.run_server("write fd=2 delay=60000")[:2], (0, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
