#!/usr/bin/env python3
"""Models from the Hub, where it is not asked, does not answer or refuses: what is in the cache is used.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import os
import shutil
import time
import unittest

from hub import NAME, WEIGHTS, Case
from hub_server import sha256


class Offline(Case):
    def test_cached(self):
        self.pulled()
        self.world.log.clear()
        for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "true"}, {"TRANSFORMERS_OFFLINE": "YES"}):
            process = self.wde("embed", "--model", NAME, "x", **env)
            self.assertEqual((process.returncode, process.stderr), (0, ""))
        self.assertEqual(self.world.log, [])

    def test_without_libcurl(self):
        """It is opened when the Hub is asked, and only then."""
        self.cache.mkdir(parents=True, exist_ok=True)
        (self.cache / "libcurl.so.4").write_bytes(b"not a library")
        self.assertFailed(self.pull(LD_LIBRARY_PATH=str(self.cache)), "libcurl.so.4")
        self.pulled()
        process = self.wde("embed", "--model", NAME, "x", HF_HUB_OFFLINE="1", LD_LIBRARY_PATH=str(self.cache))
        self.assertEqual((process.returncode, process.stderr), (0, ""))

    def test_not_cached(self):
        process = self.pull(HF_HUB_OFFLINE="1")
        self.assertFailed(process, NAME, "HF_HUB_OFFLINE", str(self.cache), "wde pull")
        self.assertFailed(self.wde("embed", "--model", NAME, "x", HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE")
        self.assertEqual(self.world.log, [])

    def test_cached_in_part(self):
        self.pulled()
        (self.folder() / "blobs" / sha256(self.files[WEIGHTS])).unlink()
        self.assertFailed(self.pull(HF_HUB_OFFLINE="1"), "only in part", WEIGHTS)

    def test_cached_in_part_by_another_program(self):
        """That took some files and left no list of all."""
        self.pulled()
        shutil.rmtree(self.folder() / "trees")
        process = self.wde("embed", "--model", NAME, "x", HF_HUB_OFFLINE="1")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn("not known offline", process.stderr)
        for path in (WEIGHTS, "tokenizer.json", "config.json", "1_Pooling/config.json"):
            link = self.snapshot() / path
            target = os.readlink(link)
            link.unlink()
            self.assertFailed(self.pull(HF_HUB_OFFLINE="1"), "only in part", path)
            link.symlink_to(target)

    def test_no_answer_but_cached(self):
        self.pulled()
        self.world.close()
        started = time.monotonic()
        process = self.wde("embed", "--model", NAME, "x")
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn("no answer from", process.stderr)
        self.assertIn("cached commit", process.stderr)
        self.assertEqual(process.stderr.count("\n"), 1)

    def test_a_slow_hub_but_cached(self):
        self.pulled()
        self.world.stall("/api/", 8)
        started = time.monotonic()
        process = self.pull(HF_HUB_ETAG_TIMEOUT="1")
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(process.stdout.strip(), str(self.snapshot()))
        self.assertIn("cached commit", process.stderr)

    def test_no_answer_and_not_cached(self):
        self.world.close()
        self.assertFailed(self.pull(), "no answer from", self.world.url, "HF_ENDPOINT")

    def test_refused_but_cached(self):
        self.pulled()
        for status in (401, 403, 404, 429, 500, 503):
            self.world.fail("/api/", status)
            process = self.pull()
            self.assertEqual(process.returncode, 0, process.stderr)
            self.assertIn(str(status), process.stderr)
            self.assertIn("cached commit", process.stderr)


if __name__ == "__main__":
    unittest.main()
