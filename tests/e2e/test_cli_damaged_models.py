#!/usr/bin/env python3
"""Checkpoints that are damaged, incomplete or not there: what `wde` says of each.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import json
import pathlib
import shutil
import struct
import tempfile
import unittest

from cli import MODEL, Case, run, wde


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

    def test_a_static_table_of_fewer_rows_than_tokens(self):
        """The number of rows and columns exchanged: model2vec refuses it, and so do we."""
        shutil.rmtree(self.model)
        shutil.copytree(pathlib.Path(MODEL).parent / "model2vec-int8", self.model)
        for path in [self.model, *self.model.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

        def lie(header):
            header["embeddings"]["shape"].reverse()
        self.edit_header(lie)
        self.check("the table of static embeddings has rows for", "tokens, but the tokenizer has")

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


if __name__ == "__main__":
    unittest.main()
