#!/usr/bin/env python3
"""Downloads from the Hub that break off, stall or find a full disk, and go on where they were.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import resource
import signal
import subprocess
import time
import unittest

from hub import BINARY, NAME, WEIGHTS, Case
from hub_server import sha256


class BrokenConnections(Case):
    def test_a_cut_connection_goes_on(self):
        self.world.cut_after("/signed/", 200_000)
        self.world.cut_after("/signed/", 100_000)
        self.pulled()
        self.assertSnapshot(self.files)
        ranges = [a.headers.get("range") for a in self.world.asked("storage", "GET")]
        self.assertEqual(len(ranges), 2)
        self.assertIsNone(ranges[0])
        self.assertEqual(ranges[1], "bytes=100000-")

    def test_cut_while_the_small_files_come(self):
        self.world.cut_after("tokenizer.json", 5_000)
        self.world.cut_after("/api/", 20)
        self.pulled()
        self.assertSnapshot(self.files)

    def test_cut_for_good_and_started_again(self):
        self.world.cut_after("/signed/", 50_000, times=99)
        self.assertFailed(self.pull(), "no answer", WEIGHTS)
        incomplete = self.folder() / "blobs" / (sha256(self.files[WEIGHTS]) + ".incomplete")
        self.assertEqual(incomplete.stat().st_size, 250_000)
        self.assertFalse((self.folder() / "refs" / "main").exists())
        self.world.faults.clear()
        self.world.log.clear()
        self.pulled()
        self.assertSnapshot(self.files)
        self.assertEqual([a.headers.get("range") for a in self.world.asked("storage", "GET")], ["bytes=250000-"])
        self.assertFalse(incomplete.exists())

    def test_killed_and_started_again(self):
        def slow(handler, asked):
            if "/signed/" in asked.path:
                content = self.files[WEIGHTS]
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content[:300_000])
                handler.wfile.flush()
                time.sleep(5)
                return True
            return False

        self.world.faults.append(slow)
        process = subprocess.Popen([BINARY, "pull", NAME], env=self.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        incomplete = self.folder() / "blobs" / (sha256(self.files[WEIGHTS]) + ".incomplete")
        deadline = time.monotonic() + 30
        while not (incomplete.exists() and incomplete.stat().st_size == 300_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.world.faults.clear()
        self.world.log.clear()
        self.pulled()
        self.assertSnapshot(self.files)
        self.assertEqual([a.headers.get("range") for a in self.world.asked("storage", "GET")], ["bytes=300000-"])

    def test_a_server_without_ranges_begins_again(self):
        self.world.ignores_range = True
        self.world.cut_after("/signed/", 100_000)
        self.pulled()
        self.assertSnapshot(self.files)

    def test_a_stalled_connection(self):
        def silent(handler, asked):
            if "/signed/" not in asked.path:
                return False
            self.world.faults.clear()
            handler.send_response(200)
            handler.send_header("Content-Length", "539784")
            handler.end_headers()
            handler.wfile.write(b"x" * 10)
            handler.wfile.flush()
            time.sleep(6)
            return True

        self.world.faults.append(silent)
        self.pulled(HF_HUB_DOWNLOAD_TIMEOUT="2")  # the ten wrong bytes are found by the hash
        self.assertSnapshot(self.files)

    def test_what_is_left_of_another_file(self):
        blobs = self.folder() / "blobs"
        blobs.mkdir(parents=True)
        incomplete = blobs / (sha256(self.files[WEIGHTS]) + ".incomplete")
        for size in (100, len(self.files[WEIGHTS]), len(self.files[WEIGHTS]) + 5):
            incomplete.write_bytes(b"x" * size)
            self.pulled()
            self.assertSnapshot(self.files)
            (blobs / sha256(self.files[WEIGHTS])).unlink()

    def test_a_truncated_blob_is_replaced(self):
        self.pulled()
        blob = self.folder() / "blobs" / sha256(self.files[WEIGHTS])
        blob.write_bytes(b"short")
        self.pulled()
        self.assertSnapshot(self.files)


class FullDisks(Case):
    def test_a_write_that_fails(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        process = self.wde("pull", NAME, preexec=limit)
        self.assertFailed(process, "cannot be written", "File too large", "goes on there")
        self.pulled()
        self.assertSnapshot(self.files)

    def test_a_cache_that_cannot_be_written(self):
        self.home.joinpath("hub").write_bytes(b"a file")
        self.assertFailed(self.pull(), "cannot be written", "HF_HUB_CACHE")


if __name__ == "__main__":
    unittest.main()
