#!/usr/bin/env python3
"""Inputs of every kind: read or refused in one sentence; pairs; texts that are cut.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import bz2
import gzip
import io
import json
import lzma
import pathlib
import tarfile
import tempfile
import unittest
import zipfile

import cli

LINES = cli.jsonl("a text", "another")


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("texts.jsonl", LINES)
    return out.getvalue()


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("texts.jsonl")
        member.size = len(LINES)
        archive.addfile(member, io.BytesIO(LINES))
    return out.getvalue()


class Kinds(cli.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-kinds-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def embed(self, name, content, *flags, command="embed"):
        file = self.root / name
        file.write_bytes(content)
        return cli.wde(command, "--input", str(file), *flags)

    def test_what_is_neither_lines_nor_json(self):
        kinds = {
            "gzip": (gzip.compress(LINES), "zcat "),
            "zstd": (b"\x28\xb5\x2f\xfd\x24\x00", "zstdcat "),
            "bzip2": (bz2.compress(LINES), "bzcat "),
            "xz": (lzma.compress(LINES), "xzcat "),
            "lz4": (b"\x04\x22\x4d\x18\x64\x40", "lz4cat "),
            "zip": (zipped(), "unzip -p "),
            "tar": (tarred(), "tar -xOf "),
            "Parquet": (b"PAR1\x15\x04\x15", "pandas.read_parquet"),
            "Arrow": (b"ARROW1\0\0\xff\xff", "pandas.read_feather"),
            "Arrow (a stream)": (b"\xff\xff\xff\xff\x10\x00", "pandas.read_feather"),
            "SQLite": (b"SQLite format 3\0\x10\0", "sqlite3 -json"),
            "PDF": (b"%PDF-1.7\n", "pdftotext"),
            "NumPy": (b"\x93NUMPY\x01\0", "one a line"),
            "a JPEG image": (b"\xff\xd8\xff\xe0", "--image"),
            "text in UTF-16": ("a text\nanother\n".encode("utf-16"), "iconv -f UTF-16 "),
            "text in UTF-16BE": ("a text\nanother\n".encode("utf-16-be"), "iconv -f UTF-16BE "),
            "text in UTF-32": ("a text\nanother\n".encode("utf-32"), "iconv -f UTF-32 "),
        }
        for kind, (content, convert) in kinds.items():
            for name, flags in (("texts.jsonl", ()), ("texts", ()), ("texts.txt", ("--input-format", "text"))):
                with self.subTest(kind=kind, name=name):
                    done = self.embed(name, content, *flags)
                    self.assertFailed(done, f"{name} is {kind}", convert)
                    self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1))
            with self.subTest(kind=kind, name="a pipe"):
                done = cli.wde("embed", stdin=content)
                self.assertFailed(done, f"standard input is {kind}", convert)
                self.assertEqual(done.stdout, b"")

    def test_tables(self):
        for name, content in (("t.csv", b"id,text\n1,a text\n"), ("t.tsv", b"id\ttext\n1\ta text\n")):
            done = self.embed(name, content)
            self.assertFailed(done, "is a table", "csv.DictReader", "--input-format text")
            self.assertEqual(len(cli.rows(self.embed(name, content, "--input-format", "text"))), 2)
        self.assertDone(self.embed("empty.txt", b""))

    def test_json_arrays(self):
        right = cli.rows(self.embed("texts.jsonl", LINES))
        texts = ["a text", "another"]
        for name, content in {
            "pretty.json": json.dumps(texts, indent=2).encode(),
            "flat.json": json.dumps(texts).encode(),
            "bom.jsonl": b"\xef\xbb\xbf \n" + json.dumps(texts).encode() + b"\n\n",
            "objects.json": json.dumps([{"text": text, "more": [1, {"]": "[\"\\"}]} for text in texts], indent=1).encode(),
            "unnamed": json.dumps([{"text": text} for text in texts], indent=4).encode(),
        }.items():
            with self.subTest(name=name):
                done = self.embed(name, content)
                self.assertDone(done)
                self.assertEqual(cli.rows(done), right)
        self.assertEqual(cli.rows(cli.wde("embed", stdin=json.dumps(texts, indent=2).encode())), right)
        self.assertEqual(self.embed("none.json", b"[ ]").stdout, b"")

    def test_json_arrays_that_are_none(self):
        done = self.embed("a.json", b'[\n"a text",\n3,\n["x"],\n"another"]')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(["error" in row for row in cli.rows(done)], [False, True, True, False])
        self.assertIn("a.json, line 3: the line is a number", done.stderr.decode())
        self.assertFailed(self.embed("a.json", b'["a text",\n"another"'), "a.json, line 2", "the array's ']', found the end")
        self.assertFailed(self.embed("a.json", b'["a text"]\n["another"]'), "a.json, line 2", "nothing behind the array, found '['")
        # Text that begins with a bracket is text.
        self.assertEqual(len(cli.rows(self.embed("notes.txt", b'["a"\n[1] a note\n'))), 2)
        self.assertEqual(len(cli.rows(cli.wde("embed", stdin=b"[1] a note\n[2] another\n"))), 2)

    def test_many_lines_that_fail_alike(self):
        done = self.embed("a.jsonl", b"".join(b"line %d, no JSON\n" % i for i in range(3000)))
        self.assertEqual(done.returncode, 1)
        words = done.stderr.decode().splitlines()
        self.assertEqual(len(words), 21, words[-3:])
        self.assertIn("a.jsonl, line 20: ", words[19])
        self.assertIn("stopped: 20 in a row failed in the same way", words[20])
        self.assertEqual([row["index"] for row in cli.rows(done)], list(range(20)))
        # Some among good ones stop nothing, and those of one kind are shown 20 times.
        good = self.embed("a.jsonl", b'"a text"\n' + (b'{"nope": 1}\n' * 15 + b'"another"\n') * 200 + b"[]\n")
        self.assertEqual(good.returncode, 1)
        words = good.stderr.decode().splitlines()
        self.assertEqual(len(words), 22, words[-3:])
        for word, line in zip(words, [*range(2, 17), *range(18, 23)]):
            self.assertIn(f"a.jsonl, line {line}: ", word)
        self.assertIn("a.jsonl, line 3202: ", words[20])
        self.assertEqual(words[21], f"wde embed: ... and 2,980 more like {self.root / 'a.jsonl'}, line 2")
        rows = cli.rows(good)
        self.assertEqual([row["index"] for row in rows], list(range(3202)))
        self.assertEqual([i for i, row in enumerate(rows) if "error" not in row], [0, *range(16, 3202, 16)])

    def test_the_array_says_how_many_rows_it_has_when_it_stops(self):
        output = self.root / "v.npy"
        self.embed("a.jsonl", b'"a text"\n' + b"no\n" * 100, "--format", "npy", "--output", str(output))
        self.assertIn(b"'shape': (21, 48)", output.read_bytes()[:128])

    def test_two_arguments_of_score_are_a_pair(self):
        model = cli.DATA / "bert-cross-encoder"
        pair = cli.wde("score", "--input", "-", model=model, stdin=cli.jsonl({"query": "a question", "document": "a document"}))
        done = cli.wde("score", "a question", "a document", model=model, stdin=None)
        self.assertDone(done)
        self.assertEqual(cli.rows(done), cli.rows(pair))
        done = cli.wde("score", "a question", "a document", "more", model=model, stdin=None)
        self.assertFailed(done, "expected one pair", "found 3 texts", '{"query": …, "document": …}', "wde rerank", status=2)
        done = cli.wde("score", "a question", model=model, stdin=None)
        self.assertFailed(done, "expected one pair", "found a single text", status=2)

    def test_lines_of_score_are_pairs(self):
        model = cli.DATA / "bert-cross-encoder"
        pair = {"query": "a question", "document": "a document"}
        want = cli.rows(cli.wde("score", "--input", "-", model=model, stdin=cli.jsonl(pair)))[0]["score"]
        done = cli.wde("score", "--input", "-", model=model, stdin=cli.jsonl("a question", pair, {"text": "a document"}))
        self.assertEqual(done.returncode, 1)
        rows = cli.rows(done)
        self.assertEqual([row.get("score") for row in rows], [None, want, None])
        for line in (0, 2):
            self.assertIn('expected the pair {"query": "…", "document": "…"}', rows[line]["error"])
        self.assertIn("line 3: expected the pair", done.stderr.decode())
        done = cli.wde("score", "--input", "-", "--input-format", "text", model=model, stdin=b"one\ntwo\n")
        self.assertEqual((done.returncode, len(cli.rows(done))), (1, 2))

    def test_texts_that_are_cut(self):
        texts = cli.jsonl("short", "word " * 50, "word " * 60)
        for command, model in (("embed", "bert-mean"), ("hidden", "bert-mean"), ("tokenize", "bert-mean"), ("classify", "bert-classify"),
                               ("sparse", "bert-splade"), ("token-classify", "bert-ner"), ("multi-vector", "colbert-stanford")):
            with self.subTest(command=command):
                done = cli.wde(command, "--max-length", "16", "--input", "-", model=cli.DATA / model, stdin=texts)
                self.assertDone(done)
                self.assertEqual([row.get("truncated", False) for row in cli.rows(done)], [False, True, True])
                self.assertIn(f"wde {command}: note: 2 of 3 texts were longer than the 16 tokens of the model's maximum", done.stderr.decode())
        pairs = cli.jsonl({"query": "q", "document": "d"}, {"query": "q", "document": "word " * 60})
        done = cli.wde("score", "--max-length", "16", "--input", "-", model=cli.DATA / "bert-cross-encoder", stdin=pairs)
        self.assertEqual([row.get("truncated", False) for row in cli.rows(done)], [False, True])
        done = cli.wde("rerank", "--max-length", "16", "--query", "q", "d", "word " * 60, model=cli.DATA / "bert-cross-encoder", stdin=None)
        self.assertEqual({row["index"]: row.get("truncated", False) for row in cli.rows(done)}, {0: False, 1: True})
        self.assertIn("1 of 2 documents were longer than", done.stderr.decode())
        done = cli.wde("embed", "--quiet", "--max-length", "4", "word " * 60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(cli.wde("embed", "a text").stderr, b"")

    def test_errors_of_rerank_name_the_line(self):
        done = self.embed("d.jsonl", b'\n"good"\n\n{"no": 1}\n\n"' + b"\xff" + b'"\n', "--query", "q", command="rerank")
        self.assertEqual(done.returncode, 1)
        self.assertIn("d.jsonl, line 4: ", done.stderr.decode(errors="replace"))
        self.assertIn("d.jsonl, line 6: ", done.stderr.decode(errors="replace"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
