#!/usr/bin/env python3
"""The files beside tokenizer.json, which complete and contradict it: the ids that transformers gives, and what is refused.

tests/golden/make_tokenizer_files.py recorded the ids. Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import struct
import tempfile

from cli import DATA, Case, jsonl, rows, wde
from layouts import read_safetensors

GOLDEN = json.loads((DATA.parent / "tokenizer_files.json").read_text())


def lay_out(case, directory):
    base = DATA / case["model"]
    for name, keys in (("tokenizer.json", case["tokenizer"]), ("config.json", case["config"])):
        content = json.loads((base / name).read_text())
        content.update(keys)
        (directory / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None or name == "tokenizer.json"}))
    for name, content in case["files"].items():
        (directory / name).write_text(json.dumps(content))


def lines(items):
    return jsonl(*({"query": i[0], "document": i[1]} if isinstance(i, list) else {"text": i} for i in items))


class TokenizerFiles(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-tokenizer-")
        self.addCleanup(folder.cleanup)
        self.directory = pathlib.Path(folder.name)

    def place(self, name):
        directory = self.directory / name
        directory.mkdir()
        return directory

    def test_every_case(self):
        for case in GOLDEN["cases"]:
            with self.subTest(case["name"]):
                directory = self.place(case["name"])
                lay_out(case, directory)
                done = wde("tokenize", model=directory, stdin=lines(GOLDEN["inputs"]))
                if "refused" in case:
                    self.assertFailed(done, case["refused"])
                    continue
                self.assertDone(done)
                self.assertEqual([row["ids"] for row in rows(done)], case["ids"])
                message = done.stderr.decode()
                self.assertIn(case["note"], message) if "note" in case else self.assertEqual(message, "")

    def test_models_that_pool_the_end_token(self):
        """Their vectors are those of the checkpoint whose tokenizer.json adds the token itself."""
        for name in ("e5-mistral", "gte-qwen2"):
            with self.subTest(name):
                directory = self.place(name)
                lay_out(next(case for case in GOLDEN["cases"] if case["name"] == name), directory)
                base = DATA / name
                for file in base.rglob("*"):
                    to = directory / file.relative_to(base)
                    if file.is_dir():
                        to.mkdir()
                    elif not to.exists():
                        to.symlink_to(file)
                golden = json.loads((base / "golden.json").read_text())
                done = wde("embed", model=directory, stdin=lines(golden["inputs"]))
                self.assertDone(done)
                expected = read_safetensors(base / "golden.safetensors")
                for index, row in enumerate(rows(done)):
                    kind, shape, data = expected[f"embedding.{index}"]
                    self.assertEqual((kind, shape), ("F32", [len(row["embedding"])]))
                    for got, want in zip(row["embedding"], struct.unpack(f"<{shape[0]}f", data)):
                        self.assertAlmostEqual(got, want, delta=golden["tolerance"])

    def test_a_token_beyond_the_embeddings(self):
        """It is a token, and the model has no row for it."""
        directory = self.place("beyond")
        lay_out(next(case for case in GOLDEN["cases"] if case["name"] == "added-decoder"), directory)
        (directory / "model.safetensors").symlink_to(DATA / "bert-mean/model.safetensors")
        done = wde("embed", model=directory, stdin=lines(["fine", "Foo <ent> bar"]))
        self.assertFailed(done, "1500")
        self.assertEqual([("embedding" in row, "error" in row) for row in rows(done)], [(True, False), (False, True)])


if __name__ == "__main__":
    import unittest

    unittest.main()
