#!/usr/bin/env python3
"""Who gets the workers of `wde serve --scheduler fair`: priorities of requests, and weights of keys.

Needs WDE_BINARY and WDE_TEST_DATA.
"""
import contextlib
import http.client
import json
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import test_serve_grpc
from serving import BINARY, SLOW, TEXTS, Case, Server, in_threads

# Slow arithmetic: the worker is what all wait for.
FAIR = ["--scheduler", "fair", "--workers", "1", "--attn-backend", "naive"]
KEYS = "light\nheavy weight=3\nearly priority=-5\nbulk priority=10\n"
LONG = "the cat sat on the mat " * 22  # as long as the model takes
ANSWERS = 160 if SLOW == 1 else 64
MANY = 1 if SLOW == 1 else 0.25  # texts are worked on far more slowly under a sanitizer


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@contextlib.contextmanager
def keyed_server(flags=FAIR):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(KEYS)
        file.flush()
        with Server(flags=[*flags, "--api-key-file", file.name]) as server:
            server.keys = file.name
            yield server


class Priorities(Case):
    def order(self, server, first, second):
        """Posts the second (path, body, headers) when the first is being worked on. Which was answered first."""
        done, answers = [], {}

        def ask(name, path, body, headers):
            answers[name] = server.post(path, body, headers)
            done.append(name)

        requests = {"first": (*first[:1], json.dumps(first[1]), first[2]), "second": (*second[:1], json.dumps(second[1]), second[2])}
        threads = []
        for name, request in requests.items():
            threads.append(threading.Thread(target=ask, args=(name, *request)))
            threads[-1].start()
            deadline = time.monotonic() + 60 * SLOW
            while name == "first" and not done:
                waiting = re.findall(r"^wde_queue_tokens\S* (\S+)", server.get("/metrics").body.decode(), re.M)
                if sum(map(float, waiting)) > 0:
                    break
                self.assertLess(time.monotonic(), deadline)
        for thread in threads:
            thread.join()
        for name in requests:
            self.assertStatus(answers[name], 200)
        return done[0]

    def test_the_earlier_priority_is_answered_first(self):
        small, large = {"inputs": [LONG] * int(150 * MANY)}, {"inputs": [LONG] * int(200 * MANY)}
        with keyed_server() as server:
            bulk, query = {**small, "priority": 7}, {**large, "priority": 3}
            self.assertEqual(self.order(server, ("/embed", bulk, bearer("light")), ("/embed", query, bearer("light"))), "second")
            # The key alone decides where the requests say nothing.
            self.assertEqual(self.order(server, ("/embed", small, bearer("bulk")), ("/embed", large, bearer("light"))), "second")
            # One key, one priority: who came first and asks for less is done first.
            self.assertEqual(self.order(server, ("/embed", small, bearer("light")), ("/embed", large, bearer("light"))), "first")

    def test_how_it_is_said_and_refused(self):
        with keyed_server() as server:
            expected = server.post("/embed", {"inputs": TEXTS}, bearer("early")).body
            for value, headers in [(5, {}), (-5, {}), (None, {"X-Request-Priority": "-5"}), (9, {"X-Request-Priority": "9"})]:
                answer = server.post("/embed", {"inputs": TEXTS, "priority": value}, {**bearer("early"), **headers})
                self.assertEqual((answer.status, answer.body, answer.headers["x-warning"]), (200, expected, None))
            range_, routes = "`priority` must be a whole number from -100 to 100", {
                "/v1/embeddings": ("input", 400), "/embed": ("inputs", 422), "/tei/v1/embeddings": ("input", 422),
                "/api/embed": ("input", 400), "/v2/embed": ("texts", 400)}
            for path, (field, status) in routes.items():
                for value in [101, "1", 1.5, True, [1]]:
                    answer = server.post(path, {field: TEXTS, "priority": value}, bearer("early"))
                    self.assertEqual(answer.status, status, (path, value, answer))
                    self.assertIn(range_, answer.body.decode())
                answer = server.post(path, {field: TEXTS}, {**bearer("early"), "X-Request-Priority": "soon"})
                self.assertEqual(answer.status, status, (path, answer))
                answer = server.post(path, {field: TEXTS, "priority": 1}, {**bearer("early"), "X-Request-Priority": "2"})
                self.assertEqual(answer.status, status, (path, answer))
                for key, value in [("early", -6), ("light", -1), ("bulk", 9)]:
                    answer = server.post(path, {field: TEXTS, "priority": value}, bearer(key))
                    self.assertEqual(answer.status, 403, (path, answer))
                    self.assertIn(f"KEY priority={value}", answer.body.decode())
            error = self.assertStatus(server.post("/v1/embeddings", {"input": "a", "priority": -9}, bearer("early")), 403)["error"]
            self.assertEqual((error["param"], error["type"]), ("priority", "permission_error"))

    def test_without_keys_and_without_the_scheduler(self):
        with Server(flags=FAIR) as server:
            for value, status in [(0, 200), (100, 200), (-1, 403), (101, 422)]:
                self.assertStatus(server.post("/embed", {"inputs": "a", "priority": value}), status)
            raw = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: 15\r\n\r\n{\"inputs\": \"a\"}"
            for headers, status in [((3, 3), b"200"), ((3, 4), b"422")]:
                lines = b"".join(b"X-Request-Priority: %d\r\n" % value for value in headers)
                self.assertEqual(server.raw(raw % lines)[9:12], status)
        with keyed_server(flags=["--scheduler", "fifo"]) as server:
            self.assertIn("note: bert-mean: the keys' weights have no effect without --scheduler fair", server.log_with("no effect"))
            self.assertStatus(server.post("/embed", {"inputs": "a", "priority": 0}, bearer("light")), 200)
            self.assertStatus(server.post("/embed", {"inputs": "a"}, bearer("bulk")), 200)
            said = self.assertStatus(server.post("/embed", {"inputs": "a", "priority": 1}, bearer("light")), 422)["error"]
            self.assertEqual(said, "`priority` is 1, and this server has no priorities but 0: start it with --scheduler fair")

    def test_browsers_may_send_the_header(self):
        with Server(flags=["--cors-allow-origin", "http://a.example"]) as server:
            answer = server.request("OPTIONS", "/embed", headers={"Origin": "http://a.example"})
            self.assertIn("x-request-priority", answer.headers["Access-Control-Allow-Headers"].split(", "))

    @unittest.skipUnless(test_serve_grpc.BUILT and test_serve_grpc.CURL, "there is no wde_grpc.so, or no curl that speaks HTTP/2")
    def test_metadata_of_grpc(self):
        with keyed_server([*FAIR, "--grpc-port", "0"]) as server:
            call = test_serve_grpc.Grpc()
            call.address = re.search(r"gRPC on (\S+)", server.log())[1]
            text = test_serve_grpc.field(1, "a text")
            for key, value, status in [("early", "-5", 0), ("early", "-6", 7), ("early", "soon", 3), ("light", "-1", 7), ("bulk", "9", 7), ("bulk", "10", 0)]:
                found = call.call("/tei.v1.Embed/Embed", text, key=key, headers=[f"x-request-priority: {value}"])
                self.assertEqual(found[0], status, (key, value, found))


class Weights(Case):
    def shares(self, server, keys, answers):
        """How many of so many answers each key had, while all of them always asked for more."""
        body = json.dumps({"inputs": [LONG] * 3})
        counts, lock, enough = dict.fromkeys(keys, 0), threading.Lock(), threading.Event()
        warm = threading.Barrier(4 * len(keys))

        def ask(key):
            connection = http.client.HTTPConnection(server.host, server.port, timeout=120 * SLOW)
            headers = {"Content-Type": "application/json", **bearer(key)}
            warm.wait()
            while True:
                connection.request("POST", "/embed", body, headers)
                self.assertEqual(connection.getresponse().read()[:2], b"[[")
                with lock:
                    counts[key] += not enough.is_set()
                    if sum(counts.values()) >= answers:
                        enough.set()
                if enough.is_set():
                    return connection.close()

        in_threads(4 * len(keys), lambda i: ask(keys[i // 4]))
        return [counts[key] for key in keys]

    def test_keys_share_by_their_weights(self):
        with keyed_server() as server:
            light, heavy = self.shares(server, ["light", "heavy"], ANSWERS)
            self.assertTrue(2 <= heavy / light <= 4.5, (light, heavy))
            # Read again, the other has it.
            with open(server.keys, "w") as out:
                out.write("light weight=3\nheavy\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertIn("the keys have been read again", server.log_with("the keys have been read again"))
            heavy, light = self.shares(server, ["heavy", "light"], ANSWERS)
            self.assertTrue(2 <= light / heavy <= 4.5, (light, heavy))

    def test_files_that_are_wrong(self):
        with keyed_server() as server:
            with open(server.keys, "w") as out:
                out.write("light\nheavy weight=0\n")
            server.process.send_signal(signal.SIGHUP)
            said = f'the keys stay as they are: --api-key-file {server.keys}:2: weight is "0", expected a number from 0.01 to 1000'
            self.assertIn(said, server.log_with("the keys stay"))
            self.assertStatus(server.post("/embed", {"inputs": "a", "priority": -5}, bearer("early")), 200)
            for flag in ["--api-key-file", "--admin-key-file"]:
                process = subprocess.run([BINARY, "serve", "--port", "0", flag, server.keys], capture_output=True, timeout=60 * SLOW)
                self.assertEqual(process.returncode, 2)
                self.assertIn(f'{flag} {server.keys}:2: weight is "0", expected', process.stderr.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
