#!/usr/bin/env python3
"""The plug-in mpi: two and three processes give the numbers of one, and each loads its own layers alone.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR with plugins/mpi.so (-DWDE_MPI=ON), and mpirun; skipped without.
"""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
PLUGIN = pathlib.Path(os.environ.get("WDE_BUILD_DIR", ".")) / "plugins" / "mpi.so"
TEXTS = ["a first text", "another", "the third one is longer than the others: " + "word " * 200, "naïve café", "x"] * 20


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    return {**env, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def wde(command, model, *arguments, processes=0, stdin=None):
    front = ["mpirun", "--oversubscribe", "--quiet", "-np", str(processes)] if processes else []
    more = ["--plugin", str(PLUGIN), "--executor", "mpi_pipeline"] if processes else []
    return subprocess.run([*front, BINARY, command, "--model", str(DATA / model), *more, *arguments], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, env=environment())


@unittest.skipUnless(PLUGIN.exists() and shutil.which("mpirun"), "no plugins/mpi.so (-DWDE_MPI=ON), or no mpirun")
class Mpi(unittest.TestCase):
    def assertSame(self, command, model, texts, processes=2):
        lines = "".join(json.dumps(text) + "\n" for text in texts).encode()
        alone = wde(command, model, "--input", "-", stdin=lines)
        self.assertEqual(alone.returncode, 0, alone.stderr.decode())
        together = wde(command, model, "--input", "-", processes=processes, stdin=lines)
        self.assertEqual(together.returncode, 0, together.stderr.decode())
        self.assertEqual(together.stdout, alone.stdout)

    def test_every_family(self):
        compared = 0
        for path in sorted(DATA.iterdir()):
            if not (path / "golden.json").exists() or path.name in ("albert", "model2vec", "static-embedding") or path.name.startswith("clip"):
                continue
            golden = json.loads((path / "golden.json").read_text())
            if "embedding" in golden["outputs"]:
                with self.subTest(model=path.name):
                    self.assertSame("embed", path.name, [t for t in golden["inputs"] if isinstance(t, str)])
                    compared += 1
        self.assertGreater(compared, 20)

    def test_other_tasks(self):
        self.assertSame("hidden", "bert-mean", TEXTS)
        self.assertSame("sparse", "bert-splade", TEXTS)
        self.assertSame("token-classify", "bert-ner-words", TEXTS)
        pairs = [{"query": "a", "document": text} for text in TEXTS]
        self.assertSame("score", "bert-cross-encoder", pairs)
        self.assertSame("score", "qwen3-reranker", pairs)

    def test_one_and_more_processes(self):
        self.assertSame("embed", "modernbert", TEXTS, processes=1)
        self.assertSame("embed", "modernbert", TEXTS, processes=3)  # of its four layers

    def test_what_cannot_be_divided(self):
        for model, processes, words in [("bert-mean", 3, "more processes (3) than layers (2)"), ("albert", 2, "layers"), ("clip", 2, "towers")]:
            with self.subTest(model=model):
                done = wde("embed", model, "some text", processes=processes)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr.decode() + done.stdout.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
