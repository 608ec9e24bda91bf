#!/usr/bin/env python3
"""Sockets of a server whose reads and writes fail or are short: that connection may end, the server and the answers do not.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import http.client
import json
import time
import unittest

import cli
import faults
from serving import Server


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


if __name__ == "__main__":
    unittest.main(verbosity=2)
