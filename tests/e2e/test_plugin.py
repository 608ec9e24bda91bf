#!/usr/bin/env python3
"""The example plug-in, built in a tree of its own against an installation of this build, and used by the installed program.

Needs WDE_BUILD_DIR (a finished build) and WDE_TEST_DATA. Standard library only, and cmake.
"""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

BUILD = os.environ.get("WDE_BUILD_DIR", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
SANITIZE = os.environ.get("WDE_SANITIZE", "")
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "plugin"
MODEL = str(DATA / "bert-mean")
TEXTS = ["the capital of Frankreich is naïve", "123.5 a"]


def call(*command, check=True):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout.decode()}\n{done.stderr.decode()}")
    return done


def mean_max(rows):
    columns = list(zip(*rows))
    return [sum(c) / len(rows) for c in columns] + [max(c) for c in columns]


class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="wde-plugin-")
        root = pathlib.Path(cls.folder.name)
        call("cmake", "--install", BUILD, "--prefix", root / "installed")
        cls.wde = root / "installed" / "bin" / "wde"
        shutil.copytree(SOURCES, root / "sources")
        flags = "-Wall -Wextra -Wpedantic -Wshadow -Werror" + (f" -fsanitize={SANITIZE}" if SANITIZE else "")
        call("cmake", "-G", "Ninja", "-S", root / "sources", "-B", root / "build", f"-DCMAKE_CXX_FLAGS={flags}",
             "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={root / 'installed'}")
        call("cmake", "--build", root / "build")
        cls.plugin = root / "build" / "example.so"
        cls.model = root / "bag-of-words"
        cls.words = cls.make_model(cls.model)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @staticmethod
    def make_model(folder):
        """A checkpoint of the example's architecture with bert-mean's tokenizer. Returns its word vectors."""
        folder.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(pathlib.Path(MODEL) / name, folder)
        vocabulary = json.loads((pathlib.Path(MODEL) / "config.json").read_text())["vocab_size"]
        config = {"architectures": ["ExampleBagOfWords"], "model_type": "example_bag_of_words", "hidden_size": 8,
                  "vocab_size": vocabulary, "max_position_embeddings": 64}
        (folder / "config.json").write_text(json.dumps(config))
        numbers = random.Random(5)
        words = [[struct.unpack("<f", struct.pack("<f", numbers.uniform(-1, 1)))[0] for _ in range(8)] for _ in range(vocabulary)]
        data = b"".join(struct.pack("<8f", *row) for row in words)
        header = json.dumps({"words.weight": {"dtype": "F32", "shape": [vocabulary, 8], "data_offsets": [0, len(data)]}}).encode()
        header += b" " * (-len(header) % 8)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
        return words

    def rows(self, command, key, *arguments):
        done = call(self.wde, command, *arguments, *TEXTS)
        return [json.loads(line)[key] for line in done.stdout.splitlines()]

    def assert_close(self, got, want):
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            self.assertAlmostEqual(a, b, delta=2e-6)

    def test_workflow_and_output_processor_on_a_model_of_the_program(self):
        hidden = self.rows("hidden", "hidden", "--model", MODEL)
        got = self.rows("embed", "embedding", "--model", MODEL, "--plugin", self.plugin, "--workflow", "embed_mean_max")
        for vector, states in zip(got, hidden):
            self.assert_close(vector, mean_max(states))

    def test_model(self):
        ids = self.rows("tokenize", "ids", "--model", self.model, "--plugin", self.plugin)
        arguments = ("--model", self.model, "--plugin", self.plugin)
        for row, states in zip(ids, self.rows("hidden", "hidden", *arguments)):
            self.assertEqual(len(states), len(row))
            for state, i in zip(states, row):
                self.assert_close(state, self.words[i])
        for row, vector in zip(ids, self.rows("embed", "embedding", *arguments, "--workflow", "embed_mean_max")):
            self.assert_close(vector, mean_max([self.words[i] for i in row]))

    def test_without_the_plug_in_its_names_are_unknown(self):
        done = call(self.wde, "embed", "--model", self.model, "a", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"ExampleBagOfWords", done.stderr)
        done = call(self.wde, "embed", "--model", MODEL, "--workflow", "embed_mean_max", "a", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"unknown workflow 'embed_mean_max'; known: ", done.stderr)

    def test_wde_models_lists_what_a_plug_in_brings(self):
        listed = json.loads(call(self.wde, "models", "--json", "--plugin", self.plugin).stdout)
        self.assertIn("ExampleBagOfWords", [m["architecture"] for m in listed["models"]])
        self.assertIn("embed_mean_max", [w["name"] for w in listed["workflows"]])
        self.assertIn("mean_max", listed["modules"]["output_processor"])
        self.assertNotIn(b"mean_max", call(self.wde, "models", "--json").stdout)

    def test_doctor_lists_its_modules(self):
        report = json.loads(call(self.wde, "doctor", "--json", "--model", MODEL, "--plugin", self.plugin,
                                 "--workflow", "embed_mean_max").stdout)
        self.assertEqual(report["engine"]["modules"]["output_processor"], "mean_max")

    def test_a_plug_in_that_is_not_there(self):
        done = call(self.wde, "embed", "--model", MODEL, "--plugin", "/nowhere/a.so", "a", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"the plug-in /nowhere/a.so is not there", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
