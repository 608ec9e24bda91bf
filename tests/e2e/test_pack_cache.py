#!/usr/bin/env python3
"""--pack-cache: the same numbers with it, whatever state the file is in, and a start that maps instead of packing.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
TEXT = "the capital of Frankreich is naïve"


def wde(command, model, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    return subprocess.run([BINARY, command, "--model", str(model), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, env=env)


class PackCache(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-pack-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.cache = self.root / "packed"
        self.model = self.root / "model"
        shutil.copytree(DATA / "bert-mean", self.model)

    def vector(self, *arguments, model=None):
        done = wde("embed", model or self.model, *arguments, TEXT)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def cached(self, *arguments, model=None):
        return self.vector("--pack-cache", str(self.cache), *arguments, model=model)

    def file(self):
        file, = self.cache.iterdir()
        return file

    def test_the_same_numbers_of_every_model(self):
        for name in sorted(path.name for path in DATA.iterdir() if (path / "golden.json").exists()):
            if any(key.startswith("embedding") for key in json.loads((DATA / name / "golden.json").read_text())["outputs"]) and "clip" not in name:
                with self.subTest(model=name):
                    plain = self.vector(model=DATA / name)
                    self.assertEqual(self.cached(model=DATA / name), plain)
                    self.assertEqual(self.cached(model=DATA / name), plain)

    def test_each_format_has_a_file(self):
        for dtype in ["float32", "bfloat16", "int8"]:
            plain = self.vector("--dtype", dtype)
            self.assertEqual(self.cached("--dtype", dtype), plain)
            stamp = {file: file.stat().st_mtime_ns for file in self.cache.iterdir()}
            self.assertEqual(self.cached("--dtype", dtype), plain)
            self.assertEqual({file: file.stat().st_mtime_ns for file in self.cache.iterdir()}, stamp, "packed again")
        self.assertEqual(len(stamp), 3)

    def test_damage_is_found(self):
        plain = self.cached()
        whole = self.file().read_bytes()
        middle = bytearray(whole)
        middle[len(whole) // 2] ^= 1  # of some weight
        for content in [b"", b"no such thing", whole[: len(whole) // 2], whole[:8] + b"{" + whole[9:], bytes(middle)]:
            self.file().write_bytes(content)
            self.assertEqual(self.cached(), plain)
            mended = self.file().read_bytes()
            self.assertEqual(len(mended), len(whole))
            self.assertEqual(self.cached(), plain)
            self.assertEqual(self.file().read_bytes(), mended, "not mended")

    def test_another_model_in_its_place_is_packed_anew(self):
        self.cached()
        os.utime(self.model / "model.safetensors", ns=(1, 1))
        before = self.file().read_bytes()
        self.cached()
        self.assertNotEqual(self.file().read_bytes(), before)
        shutil.copy(DATA / "bert-max-dense" / "model.safetensors", self.model / "model.safetensors")
        plain = self.vector()
        self.assertEqual(self.cached(), plain)
        self.assertEqual(self.cached(), plain)

    def test_where_it_cannot_write(self):
        self.cache.write_text("a file, no directory")
        plain = self.vector()
        done = wde("embed", self.model, "--pack-cache", str(self.cache), TEXT)
        self.assertEqual((done.returncode, done.stdout), (0, plain))
        self.assertIn("packed weights are not kept", done.stderr.decode())

    def test_at_the_same_time(self):
        plain = self.vector()
        command = [BINARY, "embed", "--model", str(self.model), "--pack-cache", str(self.cache), TEXT]
        several = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(4)]
        for process in several:
            self.assertEqual(process.communicate(timeout=300)[0], plain)
        self.assertEqual(self.cached(), plain)
        self.assertEqual(len(list(self.cache.iterdir())), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
