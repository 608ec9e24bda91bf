#!/usr/bin/env python3
"""`wde` in a pipe: output before the input ends, a reader that leaves, flat memory.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest

from cli import BINARY, MODEL, TIMEOUT, Case, environment


def peak_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM")


class Streaming(Case):
    def start(self, *arguments):
        return subprocess.Popen(
            [BINARY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )

    def test_output_starts_before_the_input_ends(self):
        process = self.start("embed", "--model", MODEL, "--input", "-")
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            for i in range(3):  # each answer comes while the program waits for the next line
                process.stdin.write(f"line {i}\n".encode())
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["index"], i)
            process.stdin.close()
            self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(process.wait(30), 0)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def test_closed_pipe_ends_quietly_and_soon(self):
        script = 'set -o pipefail; yes "some text" | "$0" embed --model "$1" --input - | head -n 1; echo "${PIPESTATUS[@]}"'
        begin = time.monotonic()
        process = subprocess.run(
            ["bash", "-c", script, BINARY, MODEL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=environment()
        )
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(process.stderr, b"")
        first, statuses = process.stdout.decode().splitlines()
        self.assertEqual(json.loads(first)["index"], 0)
        self.assertEqual(statuses.split()[1], "1")

    @unittest.skipIf(os.environ.get("WDE_SANITIZE"), "a sanitizer keeps freed memory")
    def test_memory_is_flat(self):
        early, late = 20_000, 200_000
        process = self.start("embed", "--model", MODEL, "--input", "-", "--format", "jsonl")

        def feed():
            try:
                for start in range(0, late, 1000):
                    process.stdin.write("".join(f"short line {i}\n" for i in range(start, start + 1000)).encode())
                process.stdin.flush()
            except BrokenPipeError:
                pass

        feeder = threading.Thread(target=feed)
        feeder.start()
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            seen, after_early = 0, None
            while seen < late:
                block = process.stdout.read1(1 << 20)
                self.assertTrue(block, "the output ended early")
                seen += block.count(b"\n")
                if after_early is None and seen >= early:
                    after_early = peak_kib(process.pid)
            at_end = peak_kib(process.pid)  # before its end, which would take /proc away
            process.stdin.close()
            self.assertEqual(process.wait(60), 0)
            self.assertEqual(seen, late)
            growth = (at_end - after_early) / 1024
            self.assertLess(growth, 30, f"{after_early} KiB after {early} texts, {at_end} KiB after {late}")
        finally:
            watchdog.cancel()
            process.kill()
            feeder.join()
            process.wait()
            process.stdout.close()
            process.stderr.close()


if __name__ == "__main__":
    unittest.main()
