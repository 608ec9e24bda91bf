#!/usr/bin/env python3
"""Reads, writes, opens and renames that fail, are short or slow: a sentence or the right result, never a wrong file.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import cli
import faults


def setUpModule():
    faults.require()


def npy_rows(content):
    """(rows, columns) of the header, which must fit the bytes behind it."""
    assert content[:6] == b"\x93NUMPY", content[:20]
    rows, columns = map(int, re.search(rb"'shape': \((\d+), (\d+)\)", content[:128]).groups())
    assert len(content) >= 128 + 4 * rows * columns, (len(content), rows, columns)
    return rows, columns


class Files(cli.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-files-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.texts = self.root / "texts.jsonl"
        self.texts.write_bytes(cli.jsonl(*[f"the capital of {i} is naïve" for i in range(300)]))
        self.output = self.root / "v.npy"
        self.npy = ("embed", "--model", cli.MODEL, "--input", str(self.texts), "--format", "npy", "--output", str(self.output))
        self.assertDone(cli.run(*self.npy))
        self.right = self.output.read_bytes()

    def run_npy(self, env):
        self.output.unlink(missing_ok=True)
        return cli.run(*self.npy, env=env, stdin=None)

    def run_lines(self, env):
        return cli.run("embed", "--model", cli.MODEL, "--input", str(self.texts), env=env, stdin=None)

    def test_writes_that_fail(self):
        for error in ("ENOSPC", "EIO"):
            for number, done in faults.each_call(f"write path=v.npy error={error}", self.run_npy):
                with self.subTest(error=error, write=number):
                    self.assertFailed(done, "v.npy", os.strerror(getattr(__import__("errno"), error)))
                    if self.output.stat().st_size:
                        rows, columns = npy_rows(self.output.read_bytes())
                        self.assertEqual(self.output.read_bytes()[128:][: 4 * rows * columns], self.right[128:][: 4 * rows * columns])

    def test_writes_that_are_short_or_interrupted(self):
        for rule in ("write path=v.npy short=97", "write path=v.npy nth=2 error=EINTR", "read path=texts short=1", "read path=texts nth=1 error=EINTR",
                     "read path=safetensors short=333", "read path=tokenizer.json short=50"):
            with self.subTest(rule=rule), faults.Faults(rule) as struck:
                self.assertDone(self.run_npy(struck.environment))
                self.assertGreater(struck.struck(), 0)
                self.assertTrue(self.output.read_bytes() == self.right)

    def test_reads_of_the_input(self):
        for number, done in faults.each_call("read path=texts.jsonl error=EIO", self.run_npy):
            with self.subTest(read=number):
                faults.acceptable(self, done)
                if done.returncode:
                    self.assertFailed(done, "texts.jsonl", "Input/output error")
                    npy_rows(self.output.read_bytes())

    def test_reads_and_opens_of_the_model(self):
        whole = self.run_lines({}).stdout
        for rule in ("read path=/bert-mean/ error=EIO", "open path=/bert-mean/ error=EMFILE", "open path=/bert-mean/ error=EACCES"):
            for number, done in faults.each_call(rule, self.run_lines):
                with self.subTest(rule=rule, call=number):
                    faults.acceptable(self, done)
                    if done.returncode == 0:
                        self.assertTrue(done.stdout == whole)
                    else:
                        self.assertIn(b"bert-mean", done.stderr)

    def test_the_pack_cache(self):
        cache = self.root / "packed"
        plain = cli.run("embed", "--model", cli.MODEL, "a text").stdout
        run = lambda env: cli.run("embed", "--model", cli.MODEL, "--pack-cache", str(cache), "a text", env=env, stdin=None)
        for rule in ("write path=/packed/ error=ENOSPC", "rename path=/packed/ error=EIO", "open path=/packed/ error=EMFILE"):
            for number, done in faults.each_call(rule, run):
                with self.subTest(rule=rule, call=number):
                    self.assertDone(done)
                    self.assertEqual(done.stdout, plain)
                    if not rule.startswith("open"):
                        self.assertIn(b"the packed weights are not kept", done.stderr)
                    self.assertEqual([file for file in cache.iterdir() if file.suffix == ".part"], [])
                for file in cache.iterdir():
                    file.unlink()
        self.assertDone(run({}))
        for rule in ("read path=/packed/ error=EIO", "map path=/packed/"):
            for number, done in faults.each_call(rule, run):
                with self.subTest(rule=rule, call=number):
                    self.assertDone(done)
                    self.assertEqual(done.stdout, plain)

    def test_standard_error_that_is_gone(self):
        whole = self.run_lines({}).stdout
        with faults.Faults("write fd=2 error=EIO") as struck:
            done = cli.run("embed", "--model", cli.MODEL, "--input", str(self.texts), "--max-length", "4", env=struck.environment)
            self.assertEqual((done.returncode, struck.struck()), (0, 1))  # the note of what was cut
        for redirection in ("2>&-", "2>/dev/full", "2>&- 0<&-"):
            with self.subTest(redirection=redirection):
                done = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", cli.BINARY, "embed", "--model", cli.MODEL, "--input", str(self.texts)],
                                      stdout=subprocess.PIPE, env=cli.environment(), timeout=cli.TIMEOUT, check=False)
                self.assertEqual(done.returncode, 0)
                self.assertTrue(done.stdout == whole)
        for redirection in (">/dev/full", ">&-"):
            with self.subTest(redirection=redirection):
                done = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", cli.BINARY, "embed", "--model", cli.MODEL, "x"],
                                      stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=cli.environment(), timeout=cli.TIMEOUT, check=False)
                self.assertFailed(done, "cannot write standard output")


class Interrupted(cli.Case):
    """A long run on a slow disk, ended from outside."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-ended-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.texts = self.root / "texts.jsonl"
        self.texts.write_bytes(b"\n" + cli.jsonl(*[f"text {i} " + "word " * 40 for i in range(2000)]))  # a blank line is no text
        self.output = self.root / "out"

    def end(self, number, *flags):
        """Starts a run, ends it by the signal when something is written; returns the process's status and its stderr."""
        with faults.Faults("read path=texts.jsonl from=2 delay=1000") as slow:
            process = subprocess.Popen([cli.BINARY, "embed", "--model", cli.MODEL, "--input", str(self.texts), "--output", str(self.output), *flags],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=cli.environment(slow.environment))
            deadline = time.monotonic() + 60
            while not (self.output.exists() and self.output.stat().st_size > 1000):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            time.sleep(0.2)
            process.send_signal(number)
            words = process.communicate(timeout=60)[1].decode()
        return process.returncode, words

    def whole(self, *flags):
        done = cli.run("embed", "--model", cli.MODEL, "--input", str(self.texts), *flags, stdin=None)
        self.assertDone(done)
        return done.stdout

    def test_npy(self):
        whole = self.whole("--format", "npy")
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)):
            with self.subTest(signal=number.name):
                self.output.unlink(missing_ok=True)
                code, words = self.end(number, "--format", "npy")
                self.assertEqual(code, status, words)
                content = self.output.read_bytes()
                rows, columns = npy_rows(content)
                self.assertTrue(0 < rows < 2000, rows)
                self.assertTrue(content[128:][: 4 * rows * columns] == whole[128:][: 4 * rows * columns])
                if number != signal.SIGKILL:
                    self.assertEqual(words, f"wde embed: ended by {number.name}: {rows} of 2000 texts written\n")

    def test_lines(self):
        whole = self.whole()
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            with self.subTest(signal=number.name):
                self.output.unlink(missing_ok=True)
                code, words = self.end(number)
                self.assertEqual(code, status, words)
                content = self.output.read_bytes()
                self.assertTrue(whole.startswith(content) and content.endswith(b"\n"))
                if number != signal.SIGKILL:
                    self.assertEqual(words, f"wde embed: ended by {number.name}: {content.count(bytes([10]))} of 2000 texts written\n")

    def test_a_second_signal_ends_at_once(self):
        # The output's reader has stopped: the first signal cannot be obeyed.
        with faults.Faults("write path=out from=1 delay=60000") as slow:
            process = subprocess.Popen([cli.BINARY, "embed", "--model", cli.MODEL, "--input", str(self.texts), "--output", str(self.output)],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=cli.environment(slow.environment))
            deadline = time.monotonic() + 60
            while not slow.struck():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=10), 143)


if __name__ == "__main__":
    unittest.main(verbosity=2)
