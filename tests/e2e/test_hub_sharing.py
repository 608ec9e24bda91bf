#!/usr/bin/env python3
"""The cache of the Hub, shared: with other processes of `wde`, and with Python's huggingface_hub in both directions.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only, but for the class WithPythonsClient: it installs huggingface_hub into a
virtual environment of its own (below WDE_BUILD_DIR) and is skipped, saying so, where that cannot be had. WDE_HUB_PYTHON names a
Python that has it already.
"""
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

from hub import BINARY, NAME, NOT_NEEDED, TIMEOUT, WEIGHTS, Case
from hub_server import COMMITS, sha256

BUILD = pathlib.Path(os.environ.get("WDE_BUILD_DIR", "."))


class TogetherWithOthers(Case):
    def test_many_at_once(self):
        processes = [
            subprocess.Popen([BINARY, "pull", NAME], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(6)
        ]
        for process in processes:
            out, err = process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(out.decode().strip(), str(self.snapshot()))
        self.assertSnapshot(self.files)
        self.assertEqual(len(self.world.asked("storage", "GET")), 1)

    def test_waits_for_the_lock(self):
        locks = self.cache / ".locks" / self.folder().name
        locks.mkdir(parents=True)
        with open(locks / (sha256(self.files[WEIGHTS]) + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen([BINARY, "pull", NAME], env=self.environment(), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(2)
            self.assertEqual(self.world.asked("storage", "GET"), [])
        out, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, err)
        self.assertSnapshot(self.files)


class WithPythonsClient(Case):
    """The cache is shared with huggingface_hub, in both directions."""

    python = None

    @classmethod
    def setUpClass(cls):
        given = os.environ.get("WDE_HUB_PYTHON")
        if given:
            cls.python = given
            return
        place = BUILD.resolve().parent / "hub-venv"  # one for all presets
        python = place / "bin" / "python"
        try:
            if not python.exists():
                subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True, timeout=300)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "huggingface_hub"],
                           check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"SKIPPED: huggingface_hub cannot be installed, so nothing proves that its cache is shared: {error}",
                  file=sys.stderr)
            raise unittest.SkipTest("huggingface_hub cannot be installed") from error
        cls.python = str(python)

    def run_python(self, code, **extra):
        process = subprocess.run([self.python, "-c", code], env=self.environment(HF_HUB_DISABLE_TELEMETRY="1", **extra),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout.strip()

    def test_it_finds_what_wde_downloaded(self):
        self.pulled()
        self.world.log.clear()
        code = f"import huggingface_hub as h; print(h.hf_hub_download({NAME!r}, {WEIGHTS!r}))"
        self.assertEqual(self.run_python(code, HF_HUB_OFFLINE="1"), str(self.snapshot() / WEIGHTS))
        code = f"import huggingface_hub as h; print(h.snapshot_download({NAME!r}, allow_patterns={sorted(self.files)!r}))"
        self.assertEqual(self.run_python(code, HF_HUB_OFFLINE="1"), str(self.snapshot()))
        self.assertEqual(self.world.log, [])
        self.assertEqual(self.run_python(code), str(self.snapshot()))  # online
        self.assertEqual(self.world.asked("storage"), [])

    def test_its_view_of_the_cache(self):
        self.pulled()
        code = """
import huggingface_hub as h
info = h.scan_cache_dir()
assert not info.warnings, info.warnings
(repo,) = info.repos
(revision,) = repo.revisions
print(repo.repo_id, repo.repo_type, revision.commit_hash, sorted(revision.refs), repo.nb_files, repo.size_on_disk)
"""
        size = sum(map(len, self.files.values()))
        expected = f"{NAME} model {COMMITS['main']} ['main'] {len(self.files)} {size}"
        self.assertEqual(self.run_python(code), expected)

    def test_it_adds_to_what_wde_downloaded(self):
        self.pulled()
        code = f"import huggingface_hub as h; print(h.snapshot_download({NAME!r}))"
        self.assertEqual(self.run_python(code), str(self.snapshot()))
        self.assertSnapshot(self.files | NOT_NEEDED)
        names = [a.path for a in self.world.asked("storage", "GET")]
        self.assertEqual(len([n for n in names if sha256(self.files[WEIGHTS]) in n]), 1)  # ours alone

    def test_wde_finds_what_it_downloaded(self):
        code = f"import huggingface_hub as h; print(h.snapshot_download({NAME!r}))"
        self.assertEqual(self.run_python(code), str(self.snapshot()))
        self.world.log.clear()
        process = self.wde("embed", "--model", NAME, "x", HF_HUB_OFFLINE="1")
        self.assertEqual((process.returncode, process.stderr), (0, ""))
        self.assertEqual(self.world.log, [])
        self.pulled()
        self.assertEqual([a.method for a in self.world.log], ["GET"])
        (listed,) = json.loads(self.wde("ls", "--json").stdout)
        self.assertEqual((listed["repo"], listed["revisions"], listed["complete"]), (NAME, ["main"], True))

    def test_wde_adds_to_what_it_downloaded(self):
        code = f"import huggingface_hub as h; h.hf_hub_download({NAME!r}, 'config.json'); h.hf_hub_download({NAME!r}, {WEIGHTS!r})"
        self.run_python(code)
        self.assertFailed(self.pull(HF_HUB_OFFLINE="1"), "only in part")
        self.world.log.clear()
        self.pulled()
        self.assertSnapshot(self.files)
        self.assertEqual(self.world.asked("storage", "GET"), [])

    def test_the_same_tree(self):
        """Byte for byte what it would have written for the same files."""
        self.pulled()
        code = f"import huggingface_hub as h; h.snapshot_download({NAME!r}, allow_patterns={sorted(self.files)!r})"
        self.run_python(code, HF_HOME=str(self.home / "theirs"))

        def tree(root):
            found = {}
            for path in sorted(root.rglob("*")):
                name = str(path.relative_to(root))
                if path.is_symlink():
                    found[name] = "-> " + os.readlink(path)
                elif path.is_file():
                    found[name] = json.loads(path.read_text()) if "/trees/" in str(path) else path.read_bytes()
            return found

        ours, theirs = tree(self.folder()), tree(self.home / "theirs" / "hub" / self.folder().name)
        self.assertEqual(ours, theirs)

    def test_it_waits_for_the_same_lock(self):
        locks = self.cache / ".locks" / self.folder().name
        code = f"""
import fcntl, huggingface_hub.utils as u, sys, time
with u.WeakFileLock({str(locks / (sha256(self.files[WEIGHTS]) + ".lock"))!r}):
    print("held", flush=True)
    time.sleep(2)
"""
        locks.mkdir(parents=True)
        holder = subprocess.Popen([self.python, "-c", code], env=self.environment(), stdout=subprocess.PIPE, text=True)
        self.assertEqual(holder.stdout.readline().strip(), "held")
        started = time.monotonic()
        self.pulled()
        self.assertGreater(time.monotonic() - started, 1)
        holder.wait(TIMEOUT)
        holder.stdout.close()
        self.assertSnapshot(self.files)

    def test_it_deletes_and_so_does_wde(self):
        self.pulled()
        code = f"""
import huggingface_hub as h
h.scan_cache_dir().delete_revisions({COMMITS['main']!r}).execute()
"""
        self.run_python(code)
        self.assertEqual(json.loads(self.wde("ls", "--json").stdout), [])
        self.run_python(f"import huggingface_hub as h; h.snapshot_download({NAME!r})")
        self.assertEqual(self.wde("rm", NAME, "--yes").returncode, 0)
        self.assertEqual(self.run_python("import huggingface_hub as h; print(len(h.scan_cache_dir().repos))"), "0")


if __name__ == "__main__":
    unittest.main()
