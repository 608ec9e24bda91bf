#!/usr/bin/env python3
"""The files of a model are cut off or written over while it is in use: errors or the old vectors, never others, never a signal.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import shutil
import struct
import tempfile
import time
import unittest

import cli
from serving import Server

def floats(values):
    return struct.pack(f"{len(values)}f", *values)


KNOWN = ["the capital", "a panda eats", "naïve"]
# Texts whose words come from all over the vocabulary.
NEW = [" ".join(f"{a}{b}" for b in "bcdfghjklmnp") for a in "aeiouy"]


class Model(unittest.TestCase):
    source = "bert-mean"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-changed-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.model = self.root / "model"
        shutil.copytree(cli.DATA / self.source, self.model)
        self.weights = next(self.model / name for name in ("model.safetensors", "pytorch_model.bin") if (self.model / name).exists())
        self.right = {text: self.ask_command(text) for text in KNOWN + NEW}

    def ask_command(self, text):
        done = cli.wde("embed", "--normalize", "no", text, model=self.model)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return floats(json.loads(done.stdout)["embedding"])

    def serve(self, *flags):
        server = Server(self.model, flags=flags)
        self.addCleanup(server.stop)
        return server

    def ask(self, server, text):
        """The vector, or the sentence of the error."""
        answer = server.post("/embed", {"inputs": text, "normalize": False})
        return floats(answer.json[0]) if answer.status == 200 else answer.body.decode()

    def check(self, server, file):
        """After the change: a right vector or an error that says why. Returns the number of errors."""
        errors = 0
        for text in KNOWN + NEW + KNOWN:
            found = self.ask(server, text)
            if isinstance(found, str):
                errors += 1
                self.assertIn(str(file), found)
                self.assertRegex(found, "cut off|changed|cannot be read")
            else:
                self.assertEqual(found, self.right[text], text)
        self.assertEqual(server.get("/health/live").status, 200)
        return errors

    def overwrite(self, file, content, keep_time=False):
        before = file.stat()
        with file.open("r+b") as out:
            out.write(content)
        if keep_time:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def other(self, file, begin):
        """Bytes of the same number; all numbers behind `begin` have the other sign or size."""
        content = bytearray(file.read_bytes())
        for i in range(begin + 3, len(content), 4):
            content[i] ^= 0x80
        return bytes(content)

    def header_end(self):
        return 8 + int.from_bytes(self.weights.read_bytes()[:8], "little")


class Weights(Model):
    def start(self, *flags):
        server = self.serve(*flags)
        for text in KNOWN:
            self.assertEqual(self.ask(server, text), self.right[text])
        return server

    def test_cut_off(self):
        for size in (0, 5000):
            with self.subTest(size=size):
                shutil.copy(cli.DATA / self.source / self.weights.name, self.weights)
                server = self.start()
                os.truncate(self.weights, size)
                self.assertGreater(self.check(server, self.weights), 0)

    def test_written_over(self):
        for keep_time in (False, True):
            with self.subTest(keep_time=keep_time):
                shutil.copy(cli.DATA / self.source / self.weights.name, self.weights)
                server = self.start()
                self.overwrite(self.weights, self.other(self.weights, self.header_end()), keep_time)
                self.assertGreater(self.check(server, self.weights), 0)

    def test_replaced_by_renaming(self):
        server = self.start()
        copy = self.root / "copy"
        copy.write_bytes(self.other(self.weights, self.header_end()))
        os.replace(copy, self.weights)
        self.assertEqual(self.check(server, self.weights), 0)
        os.unlink(self.weights)
        self.assertEqual(self.check(server, self.weights), 0)

    def test_touched_and_linked(self):
        server = self.start()
        os.utime(self.weights, ns=(1, 1))
        os.link(self.weights, self.root / "link")
        os.chmod(self.weights, 0o600)
        self.assertEqual(self.check(server, self.weights), 0)

    def test_a_task_that_is_first_asked_for_afterwards(self):
        # Its head would be read from the changed file.
        server = self.start()
        time.sleep(0.05)
        self.overwrite(self.weights, self.other(self.weights, self.header_end()))
        answer = server.post("/embed_all", {"inputs": "the capital"})
        self.assertGreaterEqual(answer.status, 400, answer)
        self.assertIn(f"{self.weights}: the file was written to after it was opened", answer.json["error"])


class Packed(Model):
    def start(self):
        cache = self.root / "packed"
        done = cli.wde("embed", "--pack-cache", str(cache), "x", model=self.model)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        file, = cache.iterdir()
        server = self.serve("--pack-cache", str(cache))
        for text in KNOWN:
            self.assertEqual(self.ask(server, text), self.right[text])
        return file, server

    def test_cut_off(self):
        file, server = self.start()
        os.truncate(file, 0)
        self.assertEqual(self.check(server, file), len(KNOWN + NEW + KNOWN))

    def test_written_over(self):
        file, server = self.start()
        begin = 8 + int.from_bytes(file.read_bytes()[:8], "little")
        self.overwrite(file, self.other(file, begin), keep_time=True)
        self.assertEqual(self.check(server, file), len(KNOWN + NEW + KNOWN))

    def test_removed_touched_or_replaced(self):
        file, server = self.start()
        os.utime(file, ns=(1, 1))
        self.assertEqual(self.check(server, file), 0)
        copy = self.root / "copy"
        copy.write_bytes(b"another")
        os.replace(copy, file)
        self.assertEqual(self.check(server, file), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
