#!/usr/bin/env python3
"""What `wde serve` says of its own work: /metrics and TEI's headers against what was sent, counted here.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import pathlib
import re
import time
import unittest

from serving import DATA, MODEL, Server, in_threads

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STAGES = ["input", "tokenize", "schedule", "build", "execute", "output"]


def scrape(server):
    """{(name, labels as a sorted tuple of pairs): value}"""
    out = {}
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        pairs = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels or "")))
        assert (name, pairs) not in out, line
        out[name, pairs] = float(value)
    return out


class Metrics(unittest.TestCase):
    def value(self, metrics, name, **labels):
        return metrics[name, tuple(sorted(labels.items()))]

    def histogram(self, metrics, name, model):
        """(count, sum), having checked that the buckets are cumulative and end at the count."""
        count = self.value(metrics, name + "_count", model=model)
        buckets = [
            (float(dict(labels)["le"]), value)
            for (found, labels), value in metrics.items()
            if found == name + "_bucket" and dict(labels).get("model") == model
        ]
        buckets.sort()
        counts = [value for _, value in buckets]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(buckets[-1], (float("inf"), count))
        return count, self.value(metrics, name + "_sum", model=model)

    def test_counts_are_what_was_sent(self):
        texts = ["word " * (1 + i % 40) for i in range(300)]
        with Server() as server:
            before = scrape(server)
            self.assertEqual(self.histogram(before, "te_batch_next_size", "bert-mean"), (0, 0))
            tokens = 0
            for at in range(0, 300, 100):
                answer = server.post("/embed", {"inputs": texts[at:at + 100]})
                self.assertEqual(answer.status, 200, answer)
                tokens += int(answer.headers["x-compute-tokens"])
            metrics = scrape(server)
            batches, batch_texts = self.histogram(metrics, "te_batch_next_size", "bert-mean")
            self.assertEqual(batch_texts, 300)
            self.assertGreaterEqual(batches, 3)
            self.assertEqual(self.histogram(metrics, "te_batch_next_tokens", "bert-mean"), (batches, tokens))
            self.assertEqual(self.value(metrics, "wde_tokens_total", model="bert-mean"), tokens)
            self.assertEqual(self.histogram(metrics, "te_request_input_length", "bert-mean"), (300, tokens))
            # Every text padded to the longest of all is the most that padding could have cost.
            longest = len(server.post("/tokenize", {"inputs": max(texts, key=len)}).json[0])
            saved = self.value(metrics, "wde_padding_tokens_saved_total", model="bert-mean")
            self.assertGreater(saved, 0)
            self.assertLess(saved, 300 * longest - tokens + 1)
            for prefix in ["te_request", "te_embed"]:
                spent = 0
                for stage in ["tokenization", "queue", "inference"]:
                    count, seconds = self.histogram(metrics, f"{prefix}_{stage}_duration", "bert-mean")
                    self.assertEqual(count, 300)
                    self.assertGreater(seconds, 0)
                    spent += seconds
                _, whole = self.histogram(metrics, f"{prefix}_duration", "bert-mean")
                # No text of a request can have spent more time than the request.
                self.assertLess(spent / 100, whole)
            self.assertEqual(self.value(metrics, "wde_waiting_texts", model="bert-mean"), 0)

    def test_no_padding_where_all_have_one_length(self):
        with Server() as server:
            self.assertEqual(server.post("/embed", {"inputs": ["a word"] * 64}).status, 200)
            self.assertEqual(self.value(scrape(server), "wde_padding_tokens_saved_total", model="bert-mean"), 0)

    def test_busy_time_of_the_stages(self):
        with Server(flags=["--workers", "2"]) as server:
            began = time.monotonic()
            before = scrape(server)
            self.assertEqual(self.value(before, "wde_workers", model="bert-mean"), 2)
            body = {"inputs": ["some words " * 60] * 256}
            in_threads(4, lambda _: [self.assertEqual(server.post("/embed", body).status, 200) for _ in range(3)])
            after = scrape(server)
            passed = time.monotonic() - began
            spent = {}
            for stage in STAGES:
                spent[stage] = self.value(after, "wde_stage_busy_seconds_total", model="bert-mean", stage=stage) - \
                    self.value(before, "wde_stage_busy_seconds_total", model="bert-mean", stage=stage)
                self.assertGreater(spent[stage], 0, stage)
            # Two workers cannot be busy for longer than twice the time, nor the engine's own thread for longer than it.
            self.assertLess(spent["execute"], 2 * passed)
            self.assertLess(sum(spent.values()) - spent["execute"], passed)
            self.assertGreater(spent["execute"], spent["schedule"])

    def test_counts_outlive_their_engines(self):
        with Server(MODEL, DATA / "bert-cls") as server:
            for _ in range(3):
                self.assertEqual(server.post("/embed", {"inputs": ["a", "b"], "model": "bert-cls"}).status, 200)
                self.assertEqual(server.post("/models/unload", {"model": "bert-cls"}).status, 200)
                self.assertEqual(server.post("/models/load", {"model": "bert-cls"}).status, 200)
                deadline = time.monotonic() + 60
                while server.get("/v1/models/bert-cls").json["state"] != "ready" and time.monotonic() < deadline:
                    time.sleep(0.02)
            metrics = scrape(server)
            self.assertEqual(self.histogram(metrics, "te_batch_next_size", "bert-cls")[1], 6)
            self.assertEqual(self.histogram(metrics, "te_batch_next_size", "bert-mean")[1], 0)

    def test_headers_tell_the_stages(self):
        with Server() as server:
            answer = server.post("/embed", {"inputs": ["some words " * 100] * 2000})
            self.assertEqual(answer.status, 200)
            headers = {name: int(answer.headers["x-" + name + "-time"])
                       for name in ["compute", "total", "tokenization", "queue", "inference"]}
            self.assertEqual(headers["compute"], headers["total"])
            self.assertGreater(headers["queue"], 0)
            self.assertLessEqual(headers["tokenization"] + headers["queue"] + headers["inference"], headers["total"] + 2)

    def test_dashboard_reads_what_there_is(self):
        with Server() as server:
            server.post("/embed", {"inputs": "a"})
            server.post("/embed", {"inputs": []})
            server.post("/embed", {"inputs": "word " * 1000})
            present = {name for name, _ in scrape(server)}
        dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
        expressions = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
        wanted = set(re.findall(r"\b(?:te|wde|process)_\w+", " ".join(expressions)))
        self.assertGreater(len(wanted), 15)
        self.assertEqual(wanted - present, set())
        for name in ["wde_padding_tokens_saved_total", "wde_stage_busy_seconds_total", "te_batch_next_size_bucket"]:
            self.assertIn(name, wanted)


if __name__ == "__main__":
    unittest.main(verbosity=2)
