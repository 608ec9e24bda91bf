"""`wde` with an empty cache and a Hub of its own (hub_server.py), for the tests of models from the Hub. Standard library only."""
import os
import pathlib
import subprocess
import tempfile
import unittest

from hub_server import COMMITS, Repo, World

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
TIMEOUT = 120
NAME = "someone/small-model"
WEIGHTS = "model.safetensors"
NOT_NEEDED = {
    "README.md": b"# a model",
    ".gitattributes": b"*.bin filter=lfs",
    "onnx/model.onnx": b"onnx" * 100,
    "openvino/openvino_model.bin": b"openvino" * 100,
    "pytorch_model.bin": b"pickle" * 100,
    "tf_model.h5": b"tensorflow" * 100,
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "training_args.bin": b"args",
    "2_Unused/config.json": b"{}",
}

if not BINARY:
    raise SystemExit("WDE_BINARY is not set")


def model_files(name="bert-mean"):
    root = DATA / name
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("golden")
    }


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)
        self.cache = self.home / "hub"
        self.world = World()
        self.addCleanup(self.world.close)
        self.files = model_files()
        self.repo = self.world.repos[NAME] = Repo(self.files | NOT_NEEDED)

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WDE_", "HF_", "HUGGING"))}
        env |= {"HF_HOME": str(self.home), "HF_ENDPOINT": self.world.url, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        env |= extra
        return {k: v for k, v in env.items() if v is not None}

    def wde(self, *arguments, preexec=None, **extra):
        return subprocess.run(
            [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
            env=self.environment(**extra), preexec_fn=preexec, text=True,
        )

    def pull(self, name=NAME, **extra):
        return self.wde("pull", name, **extra)

    def pulled(self, name=NAME, **extra):
        process = self.pull(name, **extra)
        self.assertEqual(process.returncode, 0, process.stderr)
        return pathlib.Path(process.stdout.strip())

    def assertFailed(self, process, *words, status=1):
        self.assertEqual(process.returncode, status, process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)
        self.assertTrue(process.stderr.startswith("wde"), process.stderr)
        self.assertEqual(process.stderr.count("\n"), 1, process.stderr)
        self.assertEqual(process.stdout, "")

    def folder(self, name=NAME):
        return self.cache / ("models--" + name.replace("/", "--"))

    def snapshot(self, commit=COMMITS["main"], name=NAME):
        return self.folder(name) / "snapshots" / commit

    def assertSnapshot(self, files, commit=COMMITS["main"], name=NAME):
        root = self.snapshot(commit, name)
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.assertEqual(sorted(found), sorted(files))
        self.assertEqual(found, files)

    def give_history(self):
        """Several commits, of which "old" has another tokenizer_config.json."""
        self.repo.commits = dict(COMMITS)
        self.repo.trees = {commit: dict(self.files) for commit in COMMITS.values()}
        self.repo.trees[COMMITS["old"]]["tokenizer_config.json"] = b'{"model_max_length": 7}'
