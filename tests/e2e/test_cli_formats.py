#!/usr/bin/env python3
"""What the commands of `wde` write: every format with the same numbers, to a pipe and to a file; and a row for each text.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import array
import json
import math
import pathlib
import re
import struct
import tempfile
import unittest

from cli import DATA, Case, jsonl, rows, wde


def read_npy(content):
    assert content[:8] == b"\x93NUMPY\x01\x00", content[:8]
    (length,) = struct.unpack("<H", content[8:10])
    header = content[10 : 10 + length].decode("ascii")
    assert (10 + length) % 64 == 0 and header.endswith("\n"), header
    shape = re.fullmatch(
        r"\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n", header
    )
    assert shape, header
    n, columns = int(shape[1]), int(shape[2])
    values = array.array("f")
    values.frombytes(content[10 + length :])
    assert len(values) == n * columns, (len(values), n, columns)
    return [list(values[i * columns : (i + 1) * columns]) for i in range(n)]


class Formats(Case):
    def test_embed_jsonl(self):
        process = wde("embed", "first text", "second")
        self.assertDone(process)
        found = rows(process)
        self.assertEqual([row["index"] for row in found], [0, 1])
        self.assertTrue(all(list(row) == ["index", "embedding"] for row in found))
        self.assertEqual([len(row["embedding"]) for row in found], [48, 48])
        self.assertEqual(process.stderr, b"")

    def test_embed_text_is_the_same_numbers(self):
        vectors = [row["embedding"] for row in rows(wde("embed", "a", "b c"))]
        process = wde("embed", "a", "b c", "--format", "text")
        self.assertDone(process)
        lines = process.stdout.decode().splitlines()
        self.assertEqual([[float(x) for x in line.split(" ")] for line in lines], vectors)

    def test_embed_npy_to_file_and_pipe(self):
        vectors = [row["embedding"] for row in rows(wde("embed", "a", "b c"))]
        piped = wde("embed", "a", "b c", "--format", "npy")
        self.assertDone(piped)
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "out.npy"
            path.write_bytes(b"x" * 100_000)  # is replaced
            self.assertDone(wde("embed", "a", "b c", "--format", "npy", "--output", str(path)))
            self.assertEqual(path.read_bytes(), piped.stdout)
        found = read_npy(piped.stdout)
        expected = [list(array.array("f", row)) for row in vectors]  # shortest decimals read back exactly
        self.assertEqual(found, expected)

    def test_npy_has_a_row_of_nan_for_a_failed_text(self):
        process = wde("embed", "--input", "-", "--format", "npy", stdin=b"good\n\xff\nother\n")
        self.assertFailed(process, "line 2")
        found = read_npy(process.stdout)
        self.assertEqual(len(found), 3)
        self.assertTrue(all(math.isnan(x) for x in found[1]))
        self.assertTrue(all(math.isfinite(x) for x in found[0] + found[2]))

    def test_npy_of_no_texts(self):
        process = wde("embed", "--input", "-", "--format", "npy", stdin=b"")
        self.assertDone(process)
        self.assertEqual(read_npy(process.stdout), [])
        self.assertIn(b"(0, 48)", process.stdout)

    def test_hidden(self):
        process = wde("hidden", "Hello, world!", "a")
        self.assertDone(process)
        found = rows(process)
        ids = [row["ids"] for row in rows(wde("tokenize", "Hello, world!", "a"))]
        for row, expected in zip(found, ids):
            self.assertEqual(list(row), ["index", "hidden"])
            self.assertEqual(len(row["hidden"]), len(expected))
            self.assertEqual({len(vector) for vector in row["hidden"]}, {48})

    def test_hidden_text_and_npy(self):
        expected = [row["hidden"] for row in rows(wde("hidden", "Hello, world!", "a"))]
        process = wde("hidden", "Hello, world!", "a", "--format", "text")
        self.assertDone(process)
        blocks = process.stdout.decode().rstrip("\n").split("\n\n")
        found = [[[float(x) for x in line.split()] for line in block.splitlines()] for block in blocks]
        self.assertEqual(found, expected)
        process = wde("hidden", "Hello, world!", "--format", "npy")
        self.assertDone(process)
        self.assertEqual(read_npy(process.stdout), [list(array.array("f", row)) for row in expected[0]])

    def test_hidden_npy_is_for_exactly_one_text(self):
        self.assertFailed(wde("hidden", "a", "b", "--format", "npy"), "one text", status=2)
        self.assertFailed(wde("hidden", "--format", "npy", "--input", "-", stdin=b"a\nb\n"), "one text", status=2)

    def test_tokenize(self):
        text = "Ünïcödé the fox"
        process = wde("tokenize", text)
        self.assertDone(process)
        (row,) = rows(process)
        keys = ["index", "ids", "tokens", "type_ids", "offsets", "special_tokens_mask", "truncated"]
        self.assertEqual(list(row), keys)
        self.assertEqual({len(row[key]) for key in keys[1:-1]}, {len(row["ids"])})
        self.assertIs(row["truncated"], False)
        self.assertEqual((row["tokens"][0], row["tokens"][-1]), ("[CLS]", "[SEP]"))
        self.assertEqual((row["special_tokens_mask"][0], row["special_tokens_mask"][1]), (1, 0))
        self.assertEqual(row["offsets"][0], [0, 0])
        self.assertEqual(row["offsets"][-2][1], len(text.encode()), "offsets count bytes")
        process = wde("tokenize", text, "--format", "text")
        self.assertEqual(process.stdout.decode(), " ".join(row["tokens"]) + "\n")

    def test_tokenize_pairs(self):
        process = wde("tokenize", "--input", "-", stdin=jsonl({"query": "what is it", "document": "a fox"}))
        self.assertDone(process)
        (row,) = rows(process)
        self.assertEqual(sorted(set(row["type_ids"])), [0, 1])
        self.assertEqual(row["type_ids"], sorted(row["type_ids"]))
        self.assertEqual(row["tokens"].count("[SEP]"), 2)

    def test_tokenize_truncates(self):
        (row,) = rows(wde("tokenize", "a b c d e f g h", "--max-length", "4"))
        self.assertEqual(len(row["ids"]), 4)
        self.assertIs(row["truncated"], True)

    def test_tokenize_has_no_npy(self):
        self.assertFailed(wde("tokenize", "a", "--format", "npy"), "npy", status=2)

    def test_token_classify(self):
        model = DATA / "bert-ner-words"
        text = next(text for text in json.loads((model / "golden.json").read_text())["inputs"] if "café" in text)
        for strategy, name in [("none", "entity"), ("simple", "entity_group"), ("average", "entity_group")]:
            found = rows(wde("token-classify", "--aggregation", strategy, text, model=model))[0]["entities"]
            self.assertGreater(len(found), 0)
            for entity in found:
                self.assertIn(name, entity)
                self.assertEqual(entity["word"], text[entity["start"]:entity["end"]])
        self.assertEqual(wde("token-classify", "--aggregation", "best", text, model=model).returncode, 2)

    def test_three_kinds_from_one_pass(self):
        texts = jsonl("some words", "", "other, longer words")
        model = DATA / "bge-m3"
        one = rows(wde("embed", "--all", "--input", "-", model=model, stdin=texts))
        apart = [rows(wde(command, "--input", "-", model=model, stdin=texts)) for command in ("embed", "sparse", "multi-vector")]
        self.assertEqual(one, [{**dense, **sparse, **vectors} for dense, sparse, vectors in zip(*apart)])
        self.assertEqual(wde("embed", "--all", "--format", "npy", "a", model=model).returncode, 2)
        refused = wde("embed", "--all", "a")
        self.assertEqual(refused.returncode, 2)
        self.assertIn(b"is an embedder (BertModel) and has no task 'all'", refused.stderr)

    def test_rerank_by_vectors(self):
        def cosine(a, b):
            return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

        def vectors(*arguments):
            return [row["embedding"] for row in rows(wde("embed", *arguments))]

        texts = ["panda", "spoon", "a third text"]
        for flags, query, documents in [([], ["--prompt-name", "query"], ["--prompt-name", "passage"]), (["--prompt", "x "], ["--prompt", "x "], ["--prompt", "x "])]:
            (asked,) = vectors(*query, "a bear")
            want = {i: cosine(asked, vector) for i, vector in enumerate(vectors(*documents, *texts))}
            found = rows(wde("rerank", *flags, "--query", "a bear", *texts))
            self.assertEqual([row["index"] for row in found], sorted(want, key=want.get, reverse=True))
            for row in found:
                self.assertAlmostEqual(row["score"], want[row["index"]], places=5)

    def test_output_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "out.jsonl"
            process = wde("embed", "a", "b", "--output", str(path))
            self.assertDone(process)
            self.assertEqual(process.stdout, b"")
            self.assertEqual(path.read_bytes(), wde("embed", "a", "b").stdout)

    def test_other_checkpoints(self):
        for name in ("bert-max-dense", "roberta-mean"):
            if not (DATA / name).is_dir():
                continue
            with self.subTest(name):
                process = wde("embed", "a text", "another", model=DATA / name)
                self.assertDone(process)
                self.assertEqual(len(rows(process)), 2)


if __name__ == "__main__":
    unittest.main()
