#!/usr/bin/env python3
"""Less memory than a run needs (ulimit -v), or allocations that fail: a sentence, never a signal.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import pathlib
import resource
import subprocess
import tempfile
import unittest

import cli
import faults


def setUpModule():
    faults.require()


class Memory(cli.Case):
    def test_a_text_that_the_tokenizer_has_no_memory_for(self):
        with tempfile.TemporaryDirectory(prefix="wde-memory-") as folder:
            texts = pathlib.Path(folder) / "texts.txt"
            texts.write_bytes(b"short\n" + b"! " * 500_000 + b"\nshort again\n")
            ended = set()
            for mebibytes in (150, 200, 300, 450, 700, 1000):
                def limit(bytes_=mebibytes << 20):
                    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))

                with self.subTest(mebibytes=mebibytes):
                    done = subprocess.run([cli.BINARY, "embed", "--model", cli.MODEL, "--set", "tokenizer=hf", "--workers", "1", "--input", str(texts)],
                                          preexec_fn=limit, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          timeout=cli.TIMEOUT, env=cli.environment(), check=False)
                    faults.acceptable(self, done)
                    ended.add(done.returncode)
                    if done.returncode and done.stdout:  # that text alone
                        self.assertEqual(["error" in row for row in cli.rows(done)], [False, True, False])
                        self.assertIn(b"texts.txt, line 2: ", done.stderr)
                        self.assertIn(b"out of memory", done.stderr)
            self.assertEqual(ended, {0, 1})

    def test_large_allocations_of_a_start(self):
        for number, done in faults.each_call("alloc least=1000000", lambda env: cli.run("embed", "--model", cli.MODEL, "a text", env=env, stdin=None)):
            with self.subTest(allocation=number):
                faults.acceptable(self, done)


if __name__ == "__main__":
    unittest.main(verbosity=2)
