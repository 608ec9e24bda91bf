#!/usr/bin/env python3
"""Late interaction from the command line: both sides of texts, scores of pairs and ranked documents, as the reference recorded them.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from layouts import Layout

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
MODELS = ["colbert-stanford", "colbert-pylate-bert", "colbert-pylate-modernbert", "colbert-pylate-plain", "colbert-multi-vector-encoder"]


def wde(command, *arguments, stdin=""):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    return subprocess.run([BINARY, command, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=300, env=env)


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


class LateInteraction(unittest.TestCase):
    def assertDone(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return lines(done)

    def golden(self, name):
        return json.loads((DATA / name / "golden.json").read_text())

    def test_scores_of_pairs(self):
        for name in MODELS:
            pairs = self.golden(name)["pairs"]
            source = "".join(json.dumps({"query": q, "document": d}) + "\n" for q, d, score in pairs)
            length = ["--max-length", self.golden(name)["max_length"]]
            rows = self.assertDone(wde("score", "--model", DATA / name, *length, "--input", "-", stdin=source))
            for row, (query, document, score) in zip(rows, pairs, strict=True):
                self.assertAlmostEqual(row["score"], score, delta=1e-5 * max(1, score), msg=name)
            raw = self.assertDone(wde("score", "--model", DATA / name, *length, "--raw", "--input", "-", stdin=source))
            self.assertEqual(raw, rows)

    def test_rerank(self):
        for name in MODELS:
            pairs = self.golden(name)["pairs"]
            query = pairs[0][0]
            best = sorted(((score, document) for q, document, score in pairs if q == query), reverse=True)
            texts = [document for q, document, score in pairs if q == query]
            rows = self.assertDone(wde("rerank", "--model", DATA / name, "--query", query, "--top-n", 2, *texts))
            self.assertEqual([row["document"] for row in rows], [document for score, document in best[:2]])
            for row, (score, document) in zip(rows, best):
                self.assertAlmostEqual(row["score"], score, delta=1e-5 * max(1, score))

    def test_sides(self):
        model = DATA / "colbert-stanford"
        count = lambda *flags: [len(row["vectors"]) for row in self.assertDone(wde("multi-vector", "--model", model, *flags, "a, b."))]
        self.assertEqual(count(), [5])
        self.assertEqual(count("--prompt-name", "document"), [5])
        self.assertEqual(count("--prompt-name", "query"), [32])
        tokens = self.assertDone(wde("tokenize", "--model", model, "--prompt-name", "query", "a b"))[0]["tokens"]
        self.assertEqual(tokens, ["[CLS]", "[unused0]", "a", "b", "[SEP]"] + ["[MASK]"] * 27)

    def test_doctor_says_what_it_is(self):
        done = wde("doctor", "--model", DATA / "colbert-stanford")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ["multi_vector", "[unused0]", "[unused1]", "filled up to 32", "up to 40 tokens"]:
            self.assertIn(word, done.stdout)

    def test_what_it_is_not(self):
        done = wde("embed", "--model", DATA / "colbert-stanford", "a")
        self.assertEqual(done.returncode, 2)
        self.assertIn("multi_vector", done.stderr)
        done = wde("multi-vector", "--model", DATA / "bert-mean", "a")
        self.assertEqual(done.returncode, 2)
        self.assertIn("HF_ColBERT", done.stderr)

    def test_layouts(self):
        """As torch.save wrote it, and with another transformer inside."""
        want = wde("multi-vector", "--model", DATA / "colbert-stanford", "a text").stdout
        with tempfile.TemporaryDirectory(prefix="wde-late-") as folder:
            layout = Layout(DATA / "colbert-stanford", pathlib.Path(folder) / "1")
            self.assertEqual(wde("multi-vector", "--model", layout.write("torch"), "a text").stdout, want)
            layout = Layout(DATA / "colbert-stanford", pathlib.Path(folder) / "2")
            layout.tensors.pop("linear.weight")
            done = wde("multi-vector", "--model", layout.write(), "a text")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("linear.weight", done.stderr)


if __name__ == "__main__":
    unittest.main()
