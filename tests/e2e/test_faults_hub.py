#!/usr/bin/env python3
"""Downloads from the Hub whose system calls fail or are short: a sentence or the whole model, and the next download mends what is left.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import errno
import os
import shutil
import subprocess
import unittest

import faults
from hub import BINARY, NAME, Case

SPREAD = (1, 2, 3, 5, 8, 13, 21)  # of calls of which there are too many to try each
OUT_OF_MEMORY = "out of memory"


def setUpModule():
    faults.require()


class Downloads(Case):
    def run_pull(self, env):
        """A download into a fresh cache."""
        shutil.rmtree(self.cache, ignore_errors=True)
        return subprocess.run([BINARY, "pull", NAME], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              env=self.environment(**env), check=False)

    def ends(self, rule, words, calls=None):
        """Each ends well, or in a sentence with these words; how many did either."""
        ended = {0: 0, 1: 0}
        for number, done in faults.each_call(rule, self.run_pull, calls):
            with self.subTest(rule=rule, call=number):
                faults.acceptable(self, done)
                ended[done.returncode] += 1
                if done.returncode == 0:
                    self.assertSnapshot(self.files)
                else:
                    self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
                    self.assertIn(words, done.stderr.decode())
                    self.assertFalse((self.folder() / "refs" / "main").exists())
                self.pulled()
                self.assertSnapshot(self.files)
                left = [path.name for path in self.cache.rglob("*") if path.name.endswith((".tmp", ".incomplete"))]
                self.assertEqual(left, [])
        return ended

    def assertFails(self, rule, calls=None):
        error = getattr(errno, rule.rpartition("error=")[2])
        ended = self.ends(rule, os.strerror(error), calls)
        self.assertEqual(ended[0], 0, rule)
        self.assertGreater(ended[1], 0, rule)


class Files(Downloads):
    def test_opens(self):
        self.assertFails("open path=/hub/ error=EMFILE", SPREAD)

    def test_reads(self):
        self.assertFails("read path=/hub/ error=EIO", SPREAD)

    def test_writes(self):
        self.assertFails("write path=/hub/ error=ENOSPC", SPREAD)
        self.assertFails("write path=/hub/ error=EIO", (8,))

    def test_syncs(self):
        self.assertFails("sync error=EIO")

    def test_renames(self):
        # The list of the files only saves questions.
        self.assertEqual(self.ends("rename path=/hub/ error=ENOSPC", os.strerror(errno.ENOSPC)), {0: 1, 1: 2 * len(self.files) + 1})

    def test_short_and_interrupted(self):
        for rule in ("write path=/hub/ short=997", "read path=/hub/ short=97", "write path=/hub/ nth=9 error=EINTR", "read path=/hub/ nth=3 error=EINTR"):
            with self.subTest(rule=rule), faults.Faults(rule) as struck:
                self.assertEqual(self.run_pull(struck.environment).returncode, 0)
                self.assertGreater(struck.struck(), 0)
                self.assertSnapshot(self.files)

    def test_standard_output(self):
        with faults.Faults("write fd=1 error=EIO") as struck:
            done = self.run_pull(struck.environment)
        self.assertEqual((done.returncode, done.stderr), (1, b"wde pull: cannot write standard output: Input/output error\n"))
        self.assertSnapshot(self.files)


class Machine(Downloads):
    def test_connections(self):
        for rule in ("read path=socket: error=ECONNRESET", "write path=socket: error=EPIPE"):
            self.assertEqual(self.ends(rule, "", (1, 13)), {0: 2, 1: 0})

    def test_memory(self):
        # The flags, before there is a command; then what a download needs.
        self.assertEqual(self.ends("alloc", OUT_OF_MEMORY, (1, 50, 1000, 5000)), {0: 0, 1: 4})
        self.assertEqual(self.ends("alloc least=20000", OUT_OF_MEMORY)[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
