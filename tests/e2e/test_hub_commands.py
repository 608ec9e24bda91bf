#!/usr/bin/env python3
"""`wde pull`, `wde ls` and `wde rm`, and the bar on a terminal.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pty
import shutil
import subprocess
import time
import unittest

from hub import BINARY, NAME, TIMEOUT, WEIGHTS, Case
from hub_server import COMMITS, Repo, etag_of, sha256


class Commands(Case):
    def setUp(self):
        super().setUp()
        self.give_history()

    def listed(self):
        process = self.wde("ls", "--json")
        self.assertEqual(process.returncode, 0, process.stderr)
        return json.loads(process.stdout)

    def test_ls(self):
        self.assertIn("No models in", self.wde("ls").stdout)
        self.assertEqual(self.listed(), [])
        self.pulled()
        self.pulled(NAME + "@old")
        (self.cache / "datasets--a--b" / "snapshots" / ("d" * 40)).mkdir(parents=True)
        (self.cache / "models--a--b--c").mkdir()
        found = self.listed()
        self.assertEqual([(m["repo"], m["revisions"], m["commit"], m["complete"]) for m in found],
                         [(NAME, ["main"], COMMITS["main"], True), (NAME, ["old"], COMMITS["old"], True)])
        self.assertEqual(found[0]["bytes"], sum(map(len, self.files.values())))
        self.assertEqual(found[0]["path"], str(self.snapshot()))
        table = self.wde("ls").stdout
        self.assertEqual(len(table.splitlines()), 3)
        for word in ("REPO", "REVISION", "SIZE", NAME, "main", "aaaaaaaaaaaa", " kB", str(self.snapshot())):
            self.assertIn(word, table)
        (self.folder() / "blobs" / sha256(self.files[WEIGHTS])).unlink()
        self.assertEqual([m["complete"] for m in self.listed()], [False, False])
        self.assertIn("(incomplete)", self.wde("ls").stdout)

    def test_rm_all(self):
        self.pulled()
        self.pulled(NAME + "@old")
        other = self.world.repos["someone/other"] = Repo(self.files)
        self.assertIsNotNone(other)
        self.pulled("someone/other")
        process = self.wde("rm", NAME, "--yes")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(COMMITS["main"], process.stdout)
        self.assertIn("freed", process.stdout)
        self.assertEqual([m["repo"] for m in self.listed()], ["someone/other"])
        self.assertFalse(self.folder().exists())
        self.assertFalse((self.cache / ".locks" / self.folder().name).exists())

    def test_rm_one_revision_keeps_what_others_use(self):
        self.pulled()
        self.pulled(NAME + "@old")
        for revision in ("old", COMMITS["old"], COMMITS["old"][:8]):
            process = self.wde("rm", f"{NAME}@{revision}", "-y")
            self.assertEqual(process.returncode, 0, process.stderr)
            self.assertEqual([m["commit"] for m in self.listed()], [COMMITS["main"]])
            self.assertFalse((self.folder() / "refs" / "old").exists())
            self.assertSnapshot(self.files)
            blobs = {p.name for p in (self.folder() / "blobs").iterdir()}
            self.assertEqual(blobs, {etag_of(path, content) for path, content in self.files.items()})
            self.pulled(NAME + "@old")
        self.assertEqual(self.wde("rm", f"{NAME}@old", "-y").returncode, 0)
        self.assertEqual(self.wde("rm", f"{NAME}@main", "-y").returncode, 0)
        self.assertFalse(self.folder().exists())  # nothing is left of the last one

    def test_rm_asks(self):
        self.pulled()
        self.assertFailedRm(self.wde("rm", NAME), status=2)
        self.assertTrue(self.snapshot().exists())
        self.assertEqual(self.wde("rm", "--dry-run", NAME).returncode, 0)
        self.assertTrue(self.snapshot().exists())
        for answer, status in (("n\n", 1), ("\n", 1), ("y\n", 0)):
            primary, secondary = pty.openpty()
            process = subprocess.Popen([BINARY, "rm", NAME], stdin=secondary, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=self.environment(), text=True)
            os.write(primary, answer.encode())
            _, err = process.communicate(timeout=TIMEOUT)
            os.close(primary)
            os.close(secondary)
            self.assertEqual(process.returncode, status, err)
            self.assertIn("[y/N]", err)
            self.assertEqual(self.snapshot().exists(), status == 1)

    def assertFailedRm(self, process, status):
        self.assertEqual(process.returncode, status, process.stderr)
        self.assertIn("--yes", process.stderr)

    def test_rm_of_what_is_not_there(self):
        self.assertFailed(self.wde("rm", "some/thing", "-y"), "not in the cache", "wde ls")
        self.pulled()
        self.assertFailed(self.wde("rm", NAME + "@nothing", "-y"), "not its revision", "wde ls")
        self.assertFailed(self.wde("rm", NAME + "@aaa", "-y"), "not its revision")
        for name in ("..", "/", "../x", "a/b/c", "", NAME + "@"):
            self.assertEqual(self.wde("rm", name, "-y").returncode, 2, name)
        self.assertTrue(self.snapshot().exists())

    def test_wrong_use_and_help(self):
        for command in ("pull", "rm"):
            self.assertEqual(self.wde(command).returncode, 2)
            self.assertFailed(self.wde(command, "a b", *(["-y"] if command == "rm" else [])), "owner/name", status=2)
        for command in ("pull", "ls", "rm"):
            help_text = self.wde(command, "--help")
            self.assertEqual(help_text.returncode, 0)
            self.assertIn("Examples:", help_text.stdout)
            self.assertIn(f"wde {command} [OPTIONS]", help_text.stdout)
            self.assertIn(command, self.wde("--help").stdout)

    def test_a_bar_on_a_terminal(self):
        def slow(handler, asked):
            if "/signed/" not in asked.path:
                return False
            content = self.files[WEIGHTS]
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            for at in range(0, len(content), 60_000):
                handler.wfile.write(content[at:at + 60_000])
                handler.wfile.flush()
                time.sleep(0.2)
            return True

        self.world.faults.append(slow)
        shown = {}
        for name, arguments, env in (("bar", ["pull", NAME], {}), ("quiet", ["pull", "--quiet", NAME], {}),
                                     ("off", ["pull", NAME], {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})):
            shutil.rmtree(self.cache, ignore_errors=True)
            primary, secondary = pty.openpty()
            process = subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=secondary,
                                       env=self.environment(**env))
            os.close(secondary)
            text = b""
            while True:
                try:
                    part = os.read(primary, 65536)
                except OSError:
                    break
                if not part:
                    break
                text += part
            os.close(primary)
            self.assertEqual(process.wait(TIMEOUT), 0)
            process.stdout.close()
            shown[name] = text.decode()
        self.assertIn("%", shown["bar"])
        self.assertIn(WEIGHTS, shown["bar"])
        self.assertIn("MB/s" if "MB/s" in shown["bar"] else "kB/s", shown["bar"])
        self.assertIn(f"{NAME}: ", shown["bar"])
        self.assertEqual((shown["quiet"], shown["off"]), ("", ""))


if __name__ == "__main__":
    unittest.main()
