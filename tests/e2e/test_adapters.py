#!/usr/bin/env python3
"""LoRA adapters from outside: beside their base, by --adapter, one upon the other, a model's own by task; and what is refused.

golden_tests compares merged adapters with the reference. Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from layouts import read_safetensors, write_safetensors

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
TEXT = "the capital of Frankreich is naïve"


def wde(command, model, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    env["HF_HUB_OFFLINE"] = "1"
    return subprocess.run([BINARY, command, "--model", str(model), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, env=env)


class Adapters(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wde-adapters-")
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def vector(self, model, *arguments):
        done = wde("embed", model, *arguments, TEXT)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def assertRefused(self, model, *words, arguments=()):
        done = wde("embed", model, *arguments, TEXT)
        message = done.stderr.decode()
        self.assertNotEqual(done.returncode, 0, message)
        for word in words:
            self.assertIn(word, message)

    def parts(self):
        """lora-llm2vec as a base and two adapters in directories of their own."""
        base, first, second = self.root / "base", self.root / "first", self.root / "second"
        shutil.copytree(DATA / "lora-llm2vec" / "mntp", base, ignore=shutil.ignore_patterns("adapter_*"))
        for source, target in ((DATA / "lora-llm2vec" / "mntp", first), (DATA / "lora-llm2vec", second)):
            target.mkdir()
            for file in source.glob("adapter_*"):
                shutil.copy(file, target)
        return base, first, second

    def test_by_flag_in_order(self):
        base, first, second = self.parts()
        both = self.vector(base, "--adapter", f"{first},{second}", "--max-length", "128")
        direct = json.loads(self.vector(DATA / "lora-llm2vec", "--max-length", "128"))["embedding"]
        found = json.loads(both)["embedding"]  # the golden one normalises
        length = sum(x * x for x in found) ** 0.5
        self.assertLess(max(abs(a / length - b) for a, b in zip(found, direct)), 1e-6)
        one = self.vector(base, "--adapter", str(first))
        self.assertNotEqual(one, both)
        self.assertNotEqual(one, self.vector(base))

    def test_base_by_path_and_files_of_the_base(self):
        base, first, _ = self.parts()
        config = json.loads((first / "adapter_config.json").read_text())
        (first / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
        self.assertEqual(self.vector(first), self.vector(base, "--adapter", str(first)))
        self.assertEqual(self.vector(DATA / "lora-llm2vec" / "mntp", "--adapter", "none"), self.vector(base))

    def test_weights_that_may_be_merged_already(self):
        model = self.root / "model"
        shutil.copytree(DATA / "lora-bert", model)
        config = json.loads((model / "adapter_config.json").read_text())
        (model / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "some/base"}))
        self.assertRefused(model, "some/base", "--adapter none")
        self.vector(model, "--adapter", "none")

    def test_what_the_config_must_not_ask_for(self):
        for change, word in (({"use_dora": True}, "use_dora"), ({"fan_in_fan_out": True}, "fan_in_fan_out"), ({"modules_to_save": ["score"]}, "modules_to_save"),
                             ({"peft_type": "IA3"}, "IA3"), ({"bias": "all"}, "bias"), ({"init_lora_weights": "pissa"}, "pissa"),
                             ({"alpha_pattern": {"query": 3}}, "alpha_pattern"), ({"r": 7}, "expected shape [7")):
            with self.subTest(word):
                model = self.root / word.replace(" ", "")
                shutil.copytree(DATA / "lora-bert", model)
                config = json.loads((model / "adapter_config.json").read_text())
                (model / "adapter_config.json").write_text(json.dumps({**config, **change}))
                self.assertRefused(model, word)

    def test_tensors_that_do_not_fit(self):
        tensors = read_safetensors(DATA / "lora-bert" / "adapter_model.safetensors")
        a = next(n for n in tensors if n.endswith("query.lora_A.weight"))
        for change, word in (
            (lambda t: t.pop(a), "lora_A and lora_B"),
            (lambda t: t.update({a.replace("query", "quarry"): t.pop(a), a.replace("query.lora_A", "quarry.lora_B"): t.pop(a.replace("_A", "_B"))}), "quarry"),
            (lambda t: t.update({"base_model.model.score.weight": t[a]}), "score.weight"),
            (lambda t: t.clear(), "no tensors"),
        ):
            with self.subTest(word):
                model = self.root / word.replace(" ", "")
                shutil.copytree(DATA / "lora-bert", model)
                changed = dict(tensors)
                change(changed)
                write_safetensors(model / "adapter_model.safetensors", changed)
                self.assertRefused(model, word)

    def test_not_an_adapter(self):
        self.assertRefused(DATA / "bert-mean", "adapter_config.json", arguments=["--adapter", str(DATA / "bert-cls")])


class Tasks(unittest.TestCase):
    """jina-embeddings-v3's own adapters; the golden checkpoint's default prompt is text-matching."""

    def run_with(self, *arguments):
        done = wde("embed", DATA / "jina-v3", *arguments, TEXT)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def test_by_task_and_by_prompt_name(self):
        default = self.run_with()
        self.assertEqual(default, self.run_with("--lora-task", "text-matching"))
        query = self.run_with("--lora-task", "retrieval.query")
        self.assertNotEqual(query, default)
        self.assertEqual(query, self.run_with("--prompt-name", "retrieval.query"))
        bare = self.run_with("--lora-task", "retrieval.query", "--prompt", "")
        self.assertNotEqual(query, bare)  # the task's instruction comes with it
        self.assertNotEqual(bare, self.run_with("--lora-task", "separation"))

    def test_no_such_task(self):
        for model, words in ((DATA / "jina-v3", ("retrieval.query", "text-matching")), (DATA / "bert-mean", ("none",))):
            done = wde("embed", model, "--lora-task", "retrieval", TEXT)
            self.assertNotEqual(done.returncode, 0)
            for word in words:
                self.assertIn(word, done.stderr.decode())

    def test_doctor_tells(self):
        done = wde("doctor", DATA / "jina-v3", "--json")
        self.assertEqual(json.loads(done.stdout)["engine"]["facts"]["lora_task"], "text-matching")
        done = wde("doctor", DATA / "lora-bert", "--json")
        self.assertIn("merged", json.loads(done.stdout)["engine"]["facts"]["adapter"])


if __name__ == "__main__":
    unittest.main()
