#!/usr/bin/env python3
"""The contract of the command line, from outside: formats, order, streaming, flat memory, errors and exit statuses.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import array
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
MODEL = str(DATA / "bert-mean")
TIMEOUT = 300


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    env.update(extra or {})
    return env


def run(*arguments, stdin=b"", env=None):
    """stdin: bytes, or None for /dev/null."""
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(
        [BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, env=environment(env), **source
    )


def wde(command, *arguments, model=MODEL, **options):
    return run(command, "--model", str(model), *arguments, **options)


def rows(process):
    return [json.loads(line) for line in process.stdout.splitlines()]


def jsonl(*items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


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


def peak_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM")


class Case(unittest.TestCase):
    def assertDone(self, process):
        self.assertEqual(process.returncode, 0, process.stderr.decode(errors="replace"))

    def assertFailed(self, process, *words, status=1):
        """The status, and one sentence that names these words; never a stack trace or a signal."""
        message = process.stderr.decode(errors="replace")
        self.assertEqual(process.returncode, status, message)
        for word in words:
            self.assertIn(word, message)
        self.assertTrue(message.startswith("wde"), message)
        self.assertNotIn("terminate called", message)
        self.assertLess(len(message), 4000)


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
        self.assertIn(b"BertModel does not answer the task 'all'", refused.stderr)

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


class Streaming(Case):
    def start(self, *arguments):
        return subprocess.Popen(
            [BINARY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )

    def test_output_starts_before_the_input_ends(self):
        process = self.start("embed", "--model", MODEL, "--input", "-")
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            for i in range(3):  # each answer comes while the program waits for the next line
                process.stdin.write(f"line {i}\n".encode())
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["index"], i)
            process.stdin.close()
            self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(process.wait(30), 0)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def test_closed_pipe_ends_quietly_and_soon(self):
        script = 'set -o pipefail; yes "some text" | "$0" embed --model "$1" --input - | head -n 1; echo "${PIPESTATUS[@]}"'
        begin = time.monotonic()
        process = subprocess.run(
            ["bash", "-c", script, BINARY, MODEL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=environment()
        )
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(process.stderr, b"")
        first, statuses = process.stdout.decode().splitlines()
        self.assertEqual(json.loads(first)["index"], 0)
        self.assertEqual(statuses.split()[1], "1")

    @unittest.skipIf(os.environ.get("WDE_SANITIZE"), "a sanitizer keeps freed memory")
    def test_memory_is_flat(self):
        early, late = 20_000, 200_000
        process = self.start("embed", "--model", MODEL, "--input", "-", "--format", "jsonl")

        def feed():
            try:
                for start in range(0, late, 1000):
                    process.stdin.write("".join(f"short line {i}\n" for i in range(start, start + 1000)).encode())
                process.stdin.flush()
            except BrokenPipeError:
                pass

        feeder = threading.Thread(target=feed)
        feeder.start()
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            seen, after_early = 0, None
            while seen < late:
                block = process.stdout.read1(1 << 20)
                self.assertTrue(block, "the output ended early")
                seen += block.count(b"\n")
                if after_early is None and seen >= early:
                    after_early = peak_kib(process.pid)
            at_end = peak_kib(process.pid)  # before its end, which would take /proc away
            process.stdin.close()
            self.assertEqual(process.wait(60), 0)
            self.assertEqual(seen, late)
            growth = (at_end - after_early) / 1024
            self.assertLess(growth, 30, f"{after_early} KiB after {early} texts, {at_end} KiB after {late}")
        finally:
            watchdog.cancel()
            process.kill()
            feeder.join()
            process.wait()
            process.stdout.close()
            process.stderr.close()


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


class BadModel(Case):
    """Each damaged checkpoint: exit 1, and a sentence that names the file or key."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.model = pathlib.Path(self.directory.name) / "model"
        shutil.copytree(MODEL, self.model)
        for path in [self.model, *self.model.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        self.weights = self.model / "model.safetensors"

    def check(self, *words):
        process = wde("embed", "a text", model=self.model)
        self.assertFailed(process, *words)
        self.assertEqual(process.stdout, b"")

    def edit_config(self, change):
        path = self.model / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    def edit_header(self, change):
        content = self.weights.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        self.weights.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    def test_the_copy_itself_works(self):
        self.assertDone(wde("embed", "a text", model=self.model))

    def test_no_such_directory(self):
        self.model = pathlib.Path("/no/such/model")
        self.check("/no/such/model")

    def test_not_a_model(self):
        self.model = pathlib.Path(self.directory.name) / "empty"
        self.model.mkdir()
        self.check("config.json")

    def test_a_file_for_a_directory(self):
        self.model = self.model / "config.json"
        self.check("config.json")

    def test_no_weights(self):
        self.weights.unlink()
        self.check("safetensors")

    def test_no_tokenizer(self):
        (self.model / "tokenizer.json").unlink()
        self.check("tokenizer.json")

    def test_tokenizer_of_garbage(self):
        (self.model / "tokenizer.json").write_bytes(b"\xff\x00 not json")
        self.check("tokenizer.json")

    def test_empty_weights(self):
        self.weights.write_bytes(b"")
        self.check("model.safetensors")

    def test_truncated_weights(self):
        content = self.weights.read_bytes()
        for length in (4, 8, 100, len(content) // 2, len(content) - 1):
            with self.subTest(length):
                self.weights.write_bytes(content[:length])
                self.check("model.safetensors")

    def test_header_length_that_lies(self):
        content = self.weights.read_bytes()
        for length in (0, len(content), 1 << 40, (1 << 64) - 1):
            with self.subTest(length):
                self.weights.write_bytes(struct.pack("<Q", length) + content[8:])
                self.check("model.safetensors")

    def test_offsets_that_lie(self):
        def lie(header):
            name = next(name for name in header if name.endswith("word_embeddings.weight"))
            begin, end = header[name]["data_offsets"]
            header[name]["data_offsets"] = [begin + (1 << 40), end + (1 << 40)]

        self.edit_header(lie)
        self.check("model.safetensors", "tensor", "byte")

    def test_shape_that_lies(self):
        def lie(header):
            name = next(name for name in header if name.endswith("word_embeddings.weight"))
            header[name]["shape"] = [1 << 32, 1 << 32]

        self.edit_header(lie)
        self.check("model.safetensors", "word_embeddings.weight")

    def test_missing_tensor(self):
        def lose(header):
            name = next(name for name in header if name.endswith("attention.self.query.weight"))
            header[name + ".lost"] = header.pop(name)

        self.edit_header(lose)
        self.check("attention.self.query.weight")

    def test_config_without_hidden_size(self):
        self.edit_config(lambda config: config.pop("hidden_size"))
        self.check("config.json", "hidden_size")

    def test_config_of_wrong_values(self):
        for key, value in [("hidden_size", 0), ("num_attention_heads", 0), ("num_hidden_layers", "two"), ("vocab_size", -1)]:
            with self.subTest(key):
                config = json.loads((pathlib.Path(MODEL) / "config.json").read_text())
                config[key] = value
                (self.model / "config.json").write_text(json.dumps(config))
                self.check("config.json", key)

    def test_config_that_does_not_fit_the_weights(self):
        self.edit_config(lambda config: config.update(hidden_size=44))
        self.check("44", "48")

    def test_config_that_is_no_json(self):
        (self.model / "config.json").write_text('{"hidden_size": 48,')
        self.check("config.json")

    def test_unknown_architecture(self):
        self.edit_config(lambda config: config.update(architectures=["NoSuchModel"], model_type="no-such"))
        self.check("NoSuchModel")

    def test_doctor_tells_the_problem(self):
        self.edit_config(lambda config: config.pop("hidden_size"))
        process = run("doctor", "--model", str(self.model), stdin=None)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"hidden_size", process.stdout)


class Use(Case):
    def test_wrong_use_is_status_2(self):
        for arguments in [
            ["embed", "--no-such-flag", "--model", MODEL, "a"],
            ["embed", "--model", MODEL, "--format", "xml", "a"],
            ["embed", "--model", MODEL, "--max-length", "many", "a"],
            ["embed", "--model", MODEL, "--max-length", "0", "a"],
            ["embed", "--model", MODEL, "--workers", "-1", "a"],
            ["embed", "--model", MODEL, "--attention", "sideways", "a"],
            ["embed", "--model", MODEL, "--attn-backend", "no-such", "a"],
            ["embed", "--model", MODEL, "--scheduler", "no-such", "a"],
            ["embed", "--model", MODEL, "--executor", "no-such", "a"],
            ["embed", "--model", MODEL, "--workflow", "no-such", "a"],
            ["embed", "--model", MODEL, "a", "--input", "file"],
            ["embed", "--model", MODEL, "--task", "embed", "a"],
            ["embed", "a"],
            ["bench", "--model", MODEL],
            ["bench", "--model", MODEL, "--input", "x", "--runs", "0"],
            ["no-such-command"],
            ["--no-such-flag"],
        ]:
            with self.subTest(arguments):
                self.assertFailed(run(*arguments, stdin=None), status=2)

    def test_no_command_teaches(self):
        process = run(stdin=None)
        self.assertEqual(process.returncode, 2)
        self.assertIn(b"Examples:", process.stderr)

    def test_no_model_teaches(self):
        self.assertFailed(run("embed", "a"), "--model", "WDE_MODEL", status=2)

    def test_no_text_on_a_terminal_teaches(self):
        import pty

        leader, follower = pty.openpty()
        try:
            process = subprocess.run(
                [BINARY, "embed", "--model", MODEL], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=60, env=environment(),
            )
        finally:
            os.close(leader)
            os.close(follower)
        self.assertFailed(process, "--input", status=2)

    def test_help_and_version(self):
        for command in [[], ["embed"], ["hidden"], ["tokenize"], ["bench"], ["models"], ["doctor"]]:
            process = run(*command, "--help", stdin=None)
            self.assertDone(process)
            self.assertGreaterEqual(process.stdout.decode().split("Examples:")[1].count("  wde "), 1, command)
        self.assertIn(b"WDE_MAX_LENGTH", run("embed", "--help").stdout)
        self.assertRegex(run("--version").stdout.decode(), r"^wde \d+\.\d+")

    def test_environment_variables(self):
        model = {"WDE_MODEL": MODEL}
        process = run("tokenize", "a b c d e f", env={**model, "WDE_MAX_LENGTH": "4"})
        self.assertDone(process)
        self.assertEqual(len(rows(process)[0]["ids"]), 4)
        process = run("tokenize", "a b c d e f", "--max-length", "5", env={**model, "WDE_MAX_LENGTH": "4"})
        self.assertEqual(len(rows(process)[0]["ids"]), 5, "a flag goes before the environment")
        self.assertFailed(run("embed", "a", env={**model, "WDE_MAX_LENGTH": "x"}), "WDE_MAX_LENGTH", status=2)

    def test_prompt(self):
        with_prompt = rows(wde("tokenize", "b", "--prompt", "a "))[0]["ids"]
        self.assertEqual(with_prompt, rows(wde("tokenize", "a b"))[0]["ids"])
        self.assertEqual(rows(wde("tokenize", "b", "--prompt", "")), rows(wde("tokenize", "b")))

    def test_models(self):
        process = run("models", "--json", stdin=None)
        self.assertDone(process)
        found = json.loads(process.stdout)
        self.assertIn("BertModel", [model["architecture"] for model in found["models"]])
        self.assertTrue(found["workflows"] and found["modules"])
        text = run("models", stdin=None)
        self.assertDone(text)
        self.assertIn(b"BertModel", text.stdout)

    def test_doctor(self):
        self.assertDone(run("doctor", stdin=None))
        for task in ("embed", "token_embed", "tokenize"):
            process = run("doctor", "--model", MODEL, "--task", task, "--json", stdin=None)
            self.assertDone(process)
            found = json.loads(process.stdout)
            self.assertEqual(found["problems"], [])
            self.assertEqual(found["engine"]["task"], task)
            self.assertGreater(found["engine"]["probe"]["tokens"], 5)
        process = run("doctor", "--model", MODEL, stdin=None)
        self.assertDone(process)
        self.assertIn(b"embedding [48]", process.stdout)

    def test_bench(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "texts.txt"
            path.write_text("".join(f"text number {i}\n" for i in range(300)))
            arguments = ["bench", "--model", MODEL, "--input", str(path), "--singles", "5", "--concurrency", "7"]
            process = run(*arguments, "--json", "--runs", "2", stdin=None)
            self.assertDone(process)
            found = json.loads(process.stdout)
            keys = (
                "texts tokens seconds texts_per_second tokens_per_second single_p50_ms single_p99_ms load_seconds "
                "first_vector_seconds peak_rss_mb"
            ).split()
            self.assertEqual(list(found), keys)
            self.assertEqual((found["texts"], len(found["seconds"])), (300, 2))
            self.assertGreater(found["tokens"], 900)
            self.assertGreaterEqual(found["first_vector_seconds"], found["load_seconds"])
            process = run(*arguments, stdin=None)
            self.assertDone(process)
            self.assertIn(b"texts/s", process.stdout)


class BatchInvariance(Case):
    def test_alone_and_in_batches_bit_equal(self):
        probe = "the quick brown fox jumps over the lazy dog"
        for name in ("bert-mean", "roberta-mean"):
            if not (DATA / name).is_dir():
                continue
            alone = rows(wde("embed", probe, model=DATA / name))[0]["embedding"]
            for size in (7, 64):
                texts = [f"{'filler ' * (i % 23)}{i}" for i in range(size)]
                texts[size // 2] = probe
                found = rows(wde("embed", "--input", "-", model=DATA / name, stdin=jsonl(*texts)))
                self.assertEqual(found[size // 2]["embedding"], alone, (name, size))


if __name__ == "__main__":
    if not BINARY:
        raise SystemExit("set WDE_BINARY to the program and WDE_TEST_DATA to the directory of checkpoints")
    unittest.main()
