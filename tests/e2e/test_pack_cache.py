#!/usr/bin/env python3
"""--pack-cache: the same numbers with it, whatever state the file is in, and a start that maps instead of packing.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
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
        for content in [b"", b"no such thing", whole[: len(whole) // 2], whole[:8] + b"[" + whole[9:], bytes(middle)]:
            self.file().write_bytes(content)
            self.assertEqual(self.cached(), plain)
            mended = self.file().read_bytes()
            self.assertTrue(mended != content, "not mended")
            self.assertEqual(self.cached(), plain)
            self.assertTrue(self.file().read_bytes() == mended, "written again")

    def test_another_model_in_its_place_is_packed_anew(self):
        self.cached()
        shutil.copy(DATA / "bert-max-dense" / "model.safetensors", self.model / "model.safetensors")
        plain = self.vector()
        self.assertEqual(self.cached(), plain)
        self.assertEqual(self.cached(), plain)

    def test_other_weights_that_look_the_same(self):
        """Of the same path, size and time: touch -d, cp -p, images that are built to be reproducible."""
        weights = self.model / "model.safetensors"
        os.utime(weights, (1_000_000_000, 1_000_000_000))
        content = bytearray(weights.read_bytes())
        header = int.from_bytes(content[:8], "little")
        tensor = json.loads(content[8 : 8 + header])["encoder.layer.1.output.dense.weight"]["data_offsets"]
        last = 8 + header + tensor[1] - 1  # the sign and exponent of one number
        for settled in (False, True):  # stamps of a file that was written just now are not believed
            if settled:
                time.sleep(0.3)
            first = self.cached()
            stamp = self.file().stat().st_mtime_ns
            self.assertEqual(self.cached(), first)
            self.assertEqual(self.file().stat().st_mtime_ns, stamp, "packed again")
            for replaced in (False, True):
                before = weights.stat()
                content[last] ^= 0x80
                if replaced:
                    other = self.root / "other.safetensors"
                    other.write_bytes(content)
                    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
                    os.replace(other, weights)
                else:
                    with weights.open("r+b") as file:
                        file.write(content)
                    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
                after = weights.stat()
                self.assertEqual((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))
                plain = self.vector()
                self.assertNotEqual(plain, first)
                self.assertEqual(self.cached(), plain)
                self.assertEqual(self.cached(), plain)
                first = plain

    def test_the_same_weights_with_another_time_are_not_packed_again(self):
        self.cached()
        before = self.file().stat()
        for _ in range(2):
            os.utime(self.model / "model.safetensors", ns=(1, 1))
            shutil.copy(self.model / "model.safetensors", self.root / "copy")
            os.replace(self.root / "copy", self.model / "model.safetensors")
            self.cached()
        self.assertEqual((self.file().stat().st_ino, self.file().stat().st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_what_a_killed_writer_left_is_removed(self):
        plain = self.cached()
        name = self.file().name
        left = [self.cache / f"{name}.{end}.part" for end in ("a1B2c3", "123456")]
        others = [self.cache / "another.safetensors.abcdef.part", self.cache / f"{name}.note"]
        for file in left + others:
            file.write_bytes(b"half")
        with left[1].open("rb") as in_use:  # as a writer that lives
            fcntl.flock(in_use, fcntl.LOCK_EX)
            (self.cache / name).write_bytes(b"damaged")
            self.assertEqual(self.cached(), plain)
            self.assertFalse(left[0].exists())
            self.assertTrue(left[1].exists())
        for file in others:
            self.assertTrue(file.exists())

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
