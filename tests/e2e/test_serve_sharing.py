#!/usr/bin/env python3
"""Queries beside bulk load: the scheduler that a server has by default, deadlines, and what of the queue is kept for whom.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import re
import subprocess
import tempfile
import threading
import unittest

from serving import BINARY, MODEL, Case, Server

BULK = {"input": ["a b c d e f g h " * 40] * 2048, "encoding_format": "base64"}
NAMES = ["X-Request-Timeout-Ms", "--request-timeout"]


def metrics(server, name):
    """{the label priority: value}"""
    text = server.get("/metrics").body.decode()
    found = re.findall(rf'^{name}{{(?=[^}}]*priority="(\w+)")(?![^}}]*le=)[^}}]*}} (\S+)$', text, re.MULTILINE)
    return {priority: float(value) for priority, value in found}


class Scheduler(unittest.TestCase):
    def test_it_is_fair_unless_another_is_chosen(self):
        for flags, env, expected in [
            ([], {}, "fair"),
            (["--batch-time", "5", "--bulk-share", "10"], {}, "fair"),
            (["--executor", "async"], {}, "fair"),
            (["--scheduler", "fifo"], {}, "fifo"),
            ([], {"WDE_SCHEDULER": "length_aware"}, "length_aware"),
            (["--set", "scheduler=fifo"], {}, "fifo"),
            (["--workflow", "embed"], {}, "length_aware"),
        ]:
            with self.subTest(flags=flags, env=env), Server(flags=flags, env=env) as server:
                self.assertEqual(server.get("/info").json["scheduler"], expected)
                self.assertNotIn("scheduler", server.get("/tei/info").json)
                self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
                if not flags:  # tokenizing alone needs no scheduler, whatever the environment says
                    self.assertEqual(server.post("/tokenize", {"inputs": "a"}).status, 200)

    def test_others_have_no_use_for_its_settings(self):
        for flag in ["--batch-time", "--bulk-share"]:
            process = subprocess.run([BINARY, "serve", "--port", "0", "--model", str(MODEL), "--scheduler", "fifo", flag, "7"],
                                     capture_output=True, timeout=60)
            self.assertEqual(process.returncode, 2, process.stderr)
            self.assertIn(f"{flag} is for a scheduler that shares the workers", process.stderr.decode())


class Deadlines(Case):
    def test_there_is_none_by_default(self):
        process = subprocess.run([BINARY, "serve", "--help"], capture_output=True, timeout=60)
        flag = re.search(r"--request-timeout N.*?\[default:\s+(\S+)\]", process.stdout.decode(), re.DOTALL)
        self.assertEqual(flag[1], "0")

    def test_what_cannot_be_done_in_time_is_refused_at_once(self):
        # Work of a tenth of a second or more, of which the first half is not done in a tenth of that.
        for flags, headers in [([], {"X-Request-Timeout-Ms": "10"}), (["--request-timeout", "0.01"], {"X-Request-Timeout-Ms": "86400000"})]:
            with Server(flags=flags) as server:
                answer = server.post("/v1/embeddings", BULK, headers)
                self.assertIn(answer.status, (413, 504), answer)  # 504: reading the body took so long
                for name in NAMES:
                    self.assertIn(name, answer.json["error"]["message"])
                # It was not computed.
                self.assertEqual(re.findall(r"^wde_texts_total.*$", server.get("/metrics").body.decode(), re.MULTILINE), [])
                self.assertEqual(sum(metrics(server, "wde_queue_seconds").values()), 0)

    def test_who_is_too_late_is_told_why(self):
        with Server() as server:
            answer = server.post("/v1/embeddings", {"input": "word " * 2_000_000}, {"X-Request-Timeout-Ms": "1"})
            self.assertEqual(answer.status, 504, answer)
            for name in NAMES:
                self.assertIn(name, answer.json["error"]["message"])


class Metrics(Case):
    def test_waiting_is_told_by_priority(self):
        with Server() as server:
            for priority, count in [(0, 3), (1, 4), (100, 5)]:
                self.assertStatus(server.post("/v1/embeddings", {"input": ["a"] * count, "priority": priority}), 200)
            self.assertEqual(metrics(server, "wde_wait_seconds_count"), {"normal": 3, "later": 9})
            self.assertEqual(metrics(server, "wde_queue_seconds"), {"earlier": 0, "normal": 0, "later": 0})


class Queue(Case):
    def test_bulk_leaves_room_for_queries(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write("bulk\nquery\n")
            keys.flush()
            flags = ["--api-key-file", keys.name, "--max-concurrent-requests", "8", "--max-queue-tokens", "100000000"]
            with Server(flags=flags) as server:
                statuses, full, stop = [], threading.Event(), threading.Event()

                def bulk():
                    while not stop.is_set():
                        answer = server.post("/v1/embeddings", {**BULK, "priority": 1}, {"Authorization": "Bearer bulk"})
                        statuses.append(answer.status)
                        if statuses[-1] == 429:
                            full.set()
                            stop.wait(0.01)

                threads = [threading.Thread(target=bulk) for _ in range(12)]
                for thread in threads:
                    thread.start()
                try:
                    self.assertTrue(full.wait(60))
                    for _ in range(10):
                        answer = server.post("/v1/embeddings", {"input": "a"}, {"Authorization": "Bearer query"})
                        self.assertStatus(answer, 200)
                    self.assertGreater(metrics(server, "wde_queue_seconds")["later"], 0)
                finally:
                    stop.set()
                    for thread in threads:
                        thread.join()
                self.assertLessEqual(set(statuses), {200, 429})
                self.assertEqual(metrics(server, "wde_wait_seconds_count")["normal"], 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
