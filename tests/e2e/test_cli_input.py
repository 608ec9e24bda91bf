#!/usr/bin/env python3
"""What `wde` reads: the formats of its input and how it tells them apart, texts as arguments, order; and input that is damaged,
too long, or cannot be read.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import os
import pathlib
import tempfile
import unittest

from cli import Case, jsonl, rows, wde


class Input(Case):
    def texts(self, content, *flags):
        """The tokens of each item: what the program took for its text."""
        process = wde("tokenize", "--input", "-", *flags, stdin=content)
        self.assertDone(process)
        return [row["ids"] for row in rows(process)]

    def ids(self, *texts):
        return [row["ids"] for row in rows(wde("tokenize", "--", *texts))]

    def test_standard_input_without_a_flag(self):
        self.assertEqual(rows(wde("embed", stdin=b"a\nb\n")), rows(wde("embed", "a", "b")))

    def test_formats_and_their_detection(self):
        expected = self.ids("a", "b c")
        for content, flags in [
            (b'"a"\n"b c"\n', []),
            (b'\n"a"\n\n{"text": "b c", "id": 7}', []),
            (b'\xef\xbb\xbf"a"\r\n"b c"\r\n', []),
            (b"a\nb c\n", []),
            (b"a\r\nb c", ["--input-format", "text"]),
            (b'"a"\n \n"b c"\n', ["--input-format", "jsonl"]),
        ]:
            with self.subTest(content):
                self.assertEqual(self.texts(content, *flags), expected)

    def test_empty_lines_of_text_are_empty_texts(self):
        self.assertEqual(self.texts(b"\na\n\n"), self.ids("", "a", ""))

    def test_the_name_of_the_file_decides(self):
        with tempfile.TemporaryDirectory() as directory:
            for name, expected in [("a.jsonl", "a b"), ("a.ndjson", "a b"), ("a.txt", '"a b"')]:
                path = pathlib.Path(directory) / name
                path.write_text('"a b"\n')
                (row,) = rows(wde("tokenize", "--input", str(path)))
                self.assertEqual([row["ids"]], self.ids(expected), name)

    def test_no_lines_are_no_results(self):
        process = wde("embed", "--input", "-", stdin=b"")
        self.assertDone(process)
        self.assertEqual(process.stdout, b"")

    def test_texts_pass_the_command_line_as_they_are(self):
        texts = ["[a, b]", "{}", "++", "embed", "", "-5 degrees", "%%", "[]", "a=b"]
        piped = self.texts(jsonl(*texts), "--input-format", "jsonl")
        found = rows(wde("tokenize", *texts))
        self.assertEqual([row["ids"] for row in found], piped)
        self.assertEqual(self.ids("--model", "-x"), self.texts(b"--model\n-x\n"))

    def test_order_of_many_lengths(self):
        texts = ["w " * (i * 37 % 100) + str(i) for i in range(1500)]
        expected = [row["ids"] for row in rows(wde("tokenize", "--input", "-", stdin=jsonl(*texts)))]
        process = wde("hidden", "--input", "-", "--workers", "2", stdin=jsonl(*texts))
        self.assertDone(process)
        found = rows(process)
        self.assertEqual([row["index"] for row in found], list(range(1500)))
        self.assertEqual([len(row["hidden"]) for row in found], [len(ids) for ids in expected])


class BadInput(Case):
    def check(self, content, bad, total, *words, flags=()):
        """The items `bad` fail with a sentence at their place, all others are answered."""
        process = wde("embed", "--input", "-", *flags, stdin=content)
        self.assertFailed(process, *words)
        found = rows(process)
        self.assertEqual([row["index"] for row in found], list(range(total)))
        for row in found:
            if row["index"] in bad:
                self.assertEqual(list(row), ["index", "error"])
                self.assertGreater(len(row["error"]), 10)
            else:
                self.assertEqual(len(row["embedding"]), 48)
        return found

    def test_invalid_utf8(self):
        self.check(b"good\nbad \xff\xfe\ngood\n", {1}, 3, "standard input, line 2", "UTF-8")

    def test_malformed_jsonl(self):
        content = b'"good"\n{"text": "cut\n{"txet": "x"}\n{"text": 5}\n[1]\n"bad \xff"\n\n{"text": "good"}\n'
        self.check(content, {1, 2, 3, 4, 5}, 7, "line 2", "line 3", "line 4", "line 5", "line 6", "expected")

    def test_pairs_where_the_model_takes_texts_do_not_stop_the_others(self):
        process = wde("embed", "--input", "-", stdin=jsonl("a", {"query": "q", "document": "d"}, "b"))
        self.assertIn(process.returncode, (0, 1))
        found = rows(process)
        self.assertEqual([row["index"] for row in found], [0, 1, 2])
        self.assertIn("embedding", found[0])
        self.assertIn("embedding", found[2])

    def test_nul_bytes_are_text(self):
        process = wde("embed", "--input", "-", "--input-format", "text", stdin=b"a\0b\n\0\nlast\n")
        self.assertDone(process)
        self.assertEqual(len(rows(process)), 3)
        in_json = wde("embed", "--input", "-", stdin=b'"a\\u0000b"\n"\\u0000"\n"last"\n')
        self.assertEqual(rows(process), rows(in_json))

    def test_a_text_of_10_mb(self):
        process = wde("embed", "--input", "-", stdin=b"small\n" + b"word " * 2_000_000 + b"\nsmall\n")
        self.assertDone(process)
        found = rows(process)
        self.assertEqual(len(found), 3)
        self.assertEqual(found[0]["embedding"], found[2]["embedding"])

    def test_a_line_over_the_limit(self):
        content = b"good\n" + b"x" * ((64 << 20) + 1) + b"\ngood\n"
        self.check(content, {1}, 3, "line 2", "64 MiB", flags=("--input-format", "text"))

    def test_files_that_cannot_be_read_or_written(self):
        self.assertFailed(wde("embed", "--input", "/no/such/file"), "/no/such/file")
        self.assertFailed(wde("embed", "--input", "/"), "directory")
        self.assertFailed(wde("embed", "a", "--output", "/no/such/directory/x"), "/no/such/directory/x")
        if os.path.exists("/dev/full"):
            self.assertFailed(wde("embed", "a", "--output", "/dev/full"), "No space left")

    def test_the_input_is_not_overwritten(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "texts.txt"
            path.write_text("precious\n")
            self.assertFailed(wde("embed", "--input", str(path), "--output", str(path)), "texts.txt", status=2)
            self.assertEqual(path.read_text(), "precious\n")


if __name__ == "__main__":
    unittest.main()
