#!/usr/bin/env python3
"""Models from the Hub, against a server that speaks its protocol (hub_server.py) and does to a client what networks do.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only, but for the class WithPythonsClient: it installs huggingface_hub into a
virtual environment of its own (below WDE_BUILD_DIR) and is skipped, saying so, where that cannot be had. WDE_HUB_PYTHON names a
Python that has it already.
"""
import fcntl
import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from hub_server import COMMITS, Repo, World, etag_of, sha256  # noqa: E402

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
BUILD = pathlib.Path(os.environ.get("WDE_BUILD_DIR", "."))
TIMEOUT = 120
NAME = "someone/small-model"
WEIGHTS = "model.safetensors"
NOT_NEEDED = {
    "README.md": b"# a model",
    ".gitattributes": b"*.bin filter=lfs",
    "onnx/model.onnx": b"onnx" * 100,
    "openvino/openvino_model.bin": b"openvino" * 100,
    "pytorch_model.bin": b"pickle" * 100,
    "tf_model.h5": b"tensorflow" * 100,
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "training_args.bin": b"args",
    "2_Unused/config.json": b"{}",
}


def model_files(name="bert-mean"):
    root = DATA / name
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("golden")
    }


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)
        self.cache = self.home / "hub"
        self.world = World()
        self.addCleanup(self.world.close)
        self.files = model_files()
        self.repo = self.world.repos[NAME] = Repo(self.files | NOT_NEEDED)

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WDE_", "HF_", "HUGGING"))}
        env |= {"HF_HOME": str(self.home), "HF_ENDPOINT": self.world.url, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        env |= extra
        return {k: v for k, v in env.items() if v is not None}

    def wde(self, *arguments, preexec=None, **extra):
        return subprocess.run(
            [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
            env=self.environment(**extra), preexec_fn=preexec, text=True,
        )

    def pull(self, name=NAME, **extra):
        return self.wde("pull", name, **extra)

    def pulled(self, name=NAME, **extra):
        process = self.pull(name, **extra)
        self.assertEqual(process.returncode, 0, process.stderr)
        return pathlib.Path(process.stdout.strip())

    def assertFailed(self, process, *words, status=1):
        self.assertEqual(process.returncode, status, process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)
        self.assertTrue(process.stderr.startswith("wde"), process.stderr)
        self.assertEqual(process.stderr.count("\n"), 1, process.stderr)
        self.assertEqual(process.stdout, "")

    def folder(self, name=NAME):
        return self.cache / ("models--" + name.replace("/", "--"))

    def snapshot(self, commit=COMMITS["main"], name=NAME):
        return self.folder(name) / "snapshots" / commit

    def assertSnapshot(self, files, commit=COMMITS["main"], name=NAME):
        root = self.snapshot(commit, name)
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.assertEqual(sorted(found), sorted(files))
        self.assertEqual(found, files)


class Layout(Case):
    def test_what_is_needed_and_no_more(self):
        directory = self.pulled()
        self.assertEqual(directory, self.snapshot())
        self.assertSnapshot(self.files)
        self.assertEqual((self.folder() / "refs" / "main").read_text(), COMMITS["main"])
        blobs = {p.name for p in (self.folder() / "blobs").iterdir()}
        self.assertEqual(blobs, {etag_of(path, content) for path, content in self.files.items()})
        for path, content in self.files.items():
            link = self.snapshot() / path
            self.assertTrue(link.is_symlink())
            depth = "../" * (2 + path.count("/"))
            self.assertEqual(os.readlink(link), f"{depth}blobs/{etag_of(path, content)}")
        locks = {p.name for p in (self.cache / ".locks" / self.folder().name).iterdir()}
        self.assertEqual(locks, {blob + ".lock" for blob in blobs})
        self.assertEqual({p.name for p in self.cache.iterdir()}, {".locks", self.folder().name})
        self.assertEqual(sorted(p.name for p in self.folder().iterdir()), ["blobs", "refs", "snapshots", "trees"])

    def test_embed_downloads_by_itself(self):
        process = self.wde("embed", "--model", NAME, "a text")
        self.assertEqual(process.returncode, 0, process.stderr)
        local = self.wde("embed", "--model", str(DATA / "bert-mean"), "a text")
        self.assertEqual(process.stdout, local.stdout)
        self.assertEqual(process.stderr, "")  # no bar where there is no terminal

    def test_a_local_directory_wins(self):
        shutil.copytree(DATA / "bert-mean", self.home / NAME)
        process = subprocess.run([BINARY, "tokenize", "--model", NAME, "a"], cwd=self.home, env=self.environment(),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(self.world.log, [])

    def test_a_path_that_is_no_name_asks_nobody(self):
        for path in ("/no/such/model", "../model", "a/b/c", "./x", "x--y"):
            process = self.wde("tokenize", "--model", path, "a")
            self.assertFailed(process, path)
        self.assertEqual(self.world.log, [])

    def test_module_folders_and_shards(self):
        files = model_files("bert-max-dense")
        weights = files.pop(WEIGHTS)
        index = {"metadata": {}, "weight_map": {"x": "part-1.safetensors", "y": "part-2.safetensors"}}
        files |= {WEIGHTS + ".index.json": json.dumps(index).encode(), "part-1.safetensors": weights, "part-2.safetensors": b"2"}
        others = {"part-3.safetensors": b"3", "2_Dense/pytorch_model.bin": b"bin"}
        self.assertTrue(any(path.startswith("2_Dense/") for path in files), sorted(files))
        self.world.repos["someone/sharded"] = Repo(files | others)
        self.pulled("someone/sharded")
        self.assertSnapshot(files, name="someone/sharded")

    def test_bin_where_there_is_no_safetensors_and_heads(self):
        files = dict(self.files)
        files["pytorch_model.bin"] = files.pop(WEIGHTS)
        files |= {"colbert_linear.pt": b"c", "sparse_linear.pt": b"s", "special_tokens_map.json": b"{}", "artifact.metadata": b"{}"}
        self.world.repos["someone/bin"] = Repo(files | {"flax_model.msgpack": b"f"})
        self.pulled("someone/bin")
        self.assertSnapshot(files, name="someone/bin")

    def test_vocabulary_where_there_is_no_tokenizer(self):
        files = {"config.json": b"{}", WEIGHTS: b"w", "vocab.txt": b"[PAD]\n", "tokenizer_config.json": b"{}"}
        self.world.repos["someone/old"] = Repo(files)
        self.pulled("someone/old")
        self.assertSnapshot(files, name="someone/old")

    def test_adapter(self):
        files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"w", "tokenizer.json": b"{}"}
        self.world.repos["someone/adapter"] = Repo(files | {"adapter_model.bin": b"b"})
        self.pulled("someone/adapter")
        self.assertSnapshot(files, name="someone/adapter")

    def test_a_name_without_owner_and_a_renamed_repository(self):
        self.world.renamed["small-model"] = NAME
        self.pulled("small-model")
        self.assertSnapshot(self.files, name="small-model")

    def test_a_mirror_that_tells_no_sizes(self):
        self.world.tells_blobs = False
        self.pulled()
        self.assertSnapshot(self.files)
        self.assertFalse((self.folder() / "trees").exists())

    def test_empty_files(self):
        self.repo.trees[COMMITS["main"]]["added_tokens.json"] = b""
        self.pulled()
        self.assertSnapshot(self.files | {"added_tokens.json": b""})

    def test_cache_variables(self):
        self.pulled(HF_HUB_CACHE=str(self.home / "elsewhere"))
        self.assertTrue((self.home / "elsewhere" / self.folder().name / "refs" / "main").exists())
        self.pulled(HF_HOME=None, XDG_CACHE_HOME=str(self.home / "xdg"))
        self.assertTrue((self.home / "xdg" / "huggingface" / "hub" / self.folder().name / "refs" / "main").exists())
        self.pulled(HF_HOME=None, XDG_CACHE_HOME=None, HOME=str(self.home / "user"))
        self.assertTrue((self.home / "user/.cache/huggingface/hub" / self.folder().name / "refs" / "main").exists())


class Revisions(Case):
    def setUp(self):
        super().setUp()
        self.repo.commits = dict(COMMITS)
        self.repo.trees = {commit: dict(self.files) for commit in COMMITS.values()}
        self.repo.trees[COMMITS["old"]]["tokenizer_config.json"] = b'{"model_max_length": 7}'

    def test_branch_pull_request_and_commit(self):
        self.assertEqual(self.pulled(NAME + "@old"), self.snapshot(COMMITS["old"]))
        self.assertEqual((self.folder() / "refs" / "old").read_text(), COMMITS["old"])
        self.assertEqual(self.pulled(NAME + "@refs/pr/1"), self.snapshot(COMMITS["refs/pr/1"]))
        self.assertEqual((self.folder() / "refs/refs/pr/1").read_text(), COMMITS["refs/pr/1"])
        self.pulled(NAME + "@" + COMMITS["main"])
        self.assertFalse((self.folder() / "refs" / "main").exists())
        self.assertSnapshot(self.files | {"tokenizer_config.json": b'{"model_max_length": 7}'}, COMMITS["old"])
        self.assertSnapshot(self.files)

    def test_what_did_not_change_is_not_loaded_again(self):
        self.pulled()
        self.world.log.clear()
        self.pulled(NAME + "@old")
        gets = [a for a in self.world.asked(method="GET") if "/api/" not in a.path]
        self.assertEqual([a.path.rsplit("/", 1)[1] for a in gets], ["tokenizer_config.json"])

    def test_a_branch_that_moved(self):
        self.pulled()
        self.repo.commits["main"] = COMMITS["old"]
        self.assertEqual(self.pulled(), self.snapshot(COMMITS["old"]))
        self.assertEqual((self.folder() / "refs" / "main").read_text(), COMMITS["old"])
        self.assertSnapshot(self.files)  # the older one stays

    def test_an_update_that_fails_leaves_the_old_one(self):
        self.pulled()
        self.repo.commits["main"] = COMMITS["old"]
        self.world.fail("tokenizer_config.json", 500, times=99)
        process = self.pull()
        self.assertEqual(process.returncode, 0)
        self.assertEqual(process.stdout.strip(), str(self.snapshot()))
        self.assertIn("500", process.stderr)
        self.assertIn("cached commit aaaaaaaaaaaa is used", process.stderr)
        self.assertEqual((self.folder() / "refs" / "main").read_text(), COMMITS["main"])

    def test_a_commit_in_the_cache_asks_nobody(self):
        self.pulled(NAME + "@" + COMMITS["main"])
        self.world.log.clear()
        self.pulled(NAME + "@" + COMMITS["main"])
        self.assertEqual(self.world.log, [])

    def test_a_branch_in_the_cache_asks_one_question(self):
        self.pulled()
        self.world.log.clear()
        self.pulled()
        self.assertEqual([a.method for a in self.world.log], ["GET"])
        self.assertIn("/api/models/", self.world.log[0].path)

    def test_odd_revisions(self):
        for revision in ("no-such", "0" * 40):
            self.assertFailed(self.pull(f"{NAME}@{revision}"), "no revision", revision)
        for revision in ("", "../../x", "/etc", "a b", "x\n"):
            self.assertFailed(self.pull(f"{NAME}@{revision}"), "owner/name", status=2)
        self.assertFalse(self.cache.exists())


class Offline(Case):
    def test_cached(self):
        self.pulled()
        self.world.log.clear()
        for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "true"}, {"TRANSFORMERS_OFFLINE": "YES"}):
            process = self.wde("embed", "--model", NAME, "x", **env)
            self.assertEqual((process.returncode, process.stderr), (0, ""))
        self.assertEqual(self.world.log, [])

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


class Refusals(Case):
    def test_no_such_model(self):
        self.assertFailed(self.pull("someone/else"), "someone/else", "no model of this name", "spelling", "HF_TOKEN")
        self.assertFailed(self.wde("embed", "--model", "else", "x"), "else is no local directory", "sentence-transformers/else")
        self.assertFalse(self.cache.exists())

    def test_gated(self):
        self.repo.gated, self.repo.token = True, "hf_right"
        self.world.tokens = {"hf_right", "hf_other"}
        self.assertFailed(self.pull(), "gated", f"{self.world.url}/{NAME}", "HF_TOKEN")
        self.assertFailed(self.pull(HF_TOKEN="hf_other"), "gated", "the token of HF_TOKEN has no access")
        self.pulled(HF_TOKEN="hf_right")
        self.assertSnapshot(self.files)

    def test_private(self):
        self.repo.token = "hf_right"
        self.world.tokens = {"hf_right"}
        self.assertFailed(self.pull(), "private", "HF_TOKEN")
        self.assertFailed(self.pull(HF_TOKEN="hf_wrong"), "does not accept the token of HF_TOKEN")
        (self.home / "token").write_text("hf_right\n")
        self.pulled()
        self.assertSnapshot(self.files)
        self.assertNotEqual(self.pull(HF_TOKEN="hf_wrong").stderr, "")  # the variable goes before the file

    def test_the_token_stays_with_the_hub(self):
        self.world.tokens = {"hf_right"}
        self.pulled(HF_TOKEN="hf_right")
        self.assertTrue(self.world.asked("hub"))
        self.assertTrue(self.world.asked("storage"))
        for asked in self.world.asked("hub"):
            self.assertEqual(asked.headers.get("authorization"), "Bearer hf_right", asked)
        for asked in self.world.asked("storage"):
            self.assertNotIn("authorization", asked.headers, asked)

    def test_a_token_that_would_be_a_header(self):
        self.assertFailed(self.pull(HF_TOKEN="a\r\nX-Evil: 1"), "HF_TOKEN", status=2)
        self.assertEqual(self.world.log, [])

    def test_an_endpoint_that_is_none(self):
        self.assertFailed(self.pull(HF_ENDPOINT="file:///etc"), "HF_ENDPOINT", status=2)

    def test_forbidden_and_other_statuses(self):
        for status, word in ((403, "refused"), (418, "418")):
            self.world.fail("/api/", status, headers={"X-Error-Message": "because\x1b[31m"})
            process = self.pull()
            self.assertFailed(process, word, "because")
            self.assertNotIn("\x1b", process.stderr)

    def test_limits(self):
        self.world.fail("/api/", 429, headers={"Retry-After": "9999"})
        self.assertFailed(self.pull(), "429", "9999", "HF_TOKEN")
        self.world.fail("/api/", 429, headers={"Retry-After": "1"})
        started = time.monotonic()
        self.pulled()
        self.assertGreater(time.monotonic() - started, 0.9)

    def test_server_errors_pass(self):
        self.world.fail("/api/", 503)
        self.world.fail("tokenizer.json", 500, method="HEAD")
        self.world.fail("config.json", 502, method="GET")
        self.world.fail("/signed/", 504)
        self.pulled()
        self.assertSnapshot(self.files)

    def test_server_errors_that_stay(self):
        self.world.fail("/api/", 503, times=99)
        self.assertFailed(self.pull(), "503")
        self.assertEqual(len(self.world.asked(part="/api/")), 5)

    def test_a_model_that_cannot_be_read(self):
        self.world.repos["someone/gguf"] = Repo({"config.json": b"{}", "model.gguf": b"g", "README.md": b"r"})
        self.assertFailed(self.pull("someone/gguf"), "no weights in a format", "model.gguf")
        self.world.repos["someone/none"] = Repo({"README.md": b"r"})
        self.assertFailed(self.pull("someone/none"), "no config.json")


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


class HostileServers(Case):
    def refuses(self, *words, **extra):
        process = self.pull(**extra)
        self.assertFailed(process, *words)
        self.assertFalse((self.folder() / "refs").exists())

    def test_other_content(self):
        for path, where in ((WEIGHTS, "/signed/"), ("tokenizer.json", "/tokenizer.json")):
            content = self.files[path]

            def lie(handler, asked, where=where, content=content):
                if asked.method != "GET" or where not in asked.path:
                    return False
                handler.send_content(b"X" + content[1:])
                return True

            self.world.faults[:] = [lie]
            shutil.rmtree(self.cache, ignore_errors=True)
            self.refuses(path, "damaged", etag_of(path, content))
            self.assertFalse((self.folder() / "blobs" / etag_of(path, content)).exists())
            self.assertEqual([p for p in (self.folder() / "blobs").iterdir() if p.name.endswith(".incomplete")], [])

    def test_more_than_announced(self):
        def more(handler, asked):
            if "/signed/" not in asked.path:
                return False
            handler.send_content(self.files[WEIGHTS] + b"more")
            return True

        self.world.faults.append(more)
        self.refuses("sends more", WEIGHTS)

    def test_another_range(self):
        self.world.cut_after("/signed/", 1000)

        def other(handler, asked):
            if "range" not in asked.headers:
                return False
            handler.answer(206, {"Content-Range": "bytes 5-9/539784"}, b"12345")
            self.world.faults.remove(other)
            return True

        self.world.faults.append(other)
        self.pulled()
        self.assertSnapshot(self.files)

    def test_names_that_lead_outside(self):
        outside = self.home / "outside"
        for name in ("../outside", "../../../outside", "/tmp/outside", "a/../../b", "a//b", ".", "a/./b", "x\x00y", "a\\b", "\n"):
            self.world.repos[NAME] = Repo(self.files | {name: b"evil"})
            self.refuses("inside the repository", "nothing is downloaded")
        for name in ("../x", "/etc", "a/../../../x", ".."):
            modules = json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": name}])
            self.world.repos[NAME] = Repo(self.files | {"modules.json": modules.encode()})
            self.refuses("inside the model")
        for name in ("../x.safetensors", "/etc/passwd", "a/b", 5):
            index = json.dumps({"weight_map": {"t": name}}).encode()
            files = {"config.json": b"{}", "model.safetensors.index.json": index}
            self.world.repos[NAME] = Repo(files)
            self.refuses("same folder")
        self.assertFalse(outside.exists())

    def test_an_index_that_names_what_is_not_there(self):
        index = json.dumps({"weight_map": {"t": "no.safetensors"}}).encode()
        self.world.repos[NAME] = Repo({"config.json": b"{}", "model.safetensors.index.json": index})
        self.refuses("does not have", "no.safetensors")

    def test_commits_and_etags_that_are_paths(self):
        for commit in ("../../../x", "", "a" * 39, "A" * 40, "main"):
            self.world.repos[NAME] = Repo(self.files, {"main": commit})
            self.refuses("40 hexadecimal digits")
        self.world.repos[NAME] = self.repo
        for etag in ('"../x"', '""', '"a/b"', '".x"', '"' + "a" * 300 + '"'):
            def lie(handler, asked, etag=etag):
                if asked.method != "HEAD":
                    return False
                handler.answer(200, {"ETag": etag, "X-Repo-Commit": COMMITS["main"], "Content-Length": "5"})
                return True

            self.world.faults[:] = [lie]
            self.refuses("ETag")

    def test_another_commit_than_asked_for(self):
        self.world.fail("/resolve/", 200, headers={"ETag": '"x"', "X-Repo-Commit": COMMITS["old"]})
        self.refuses("expected the file of commit")

    def test_sizes_that_are_none(self):
        for size in ("-1", "99999999999999999999", "x"):
            self.world.fail("/resolve/", 302, method="HEAD", headers={"X-Linked-Etag": '"ab"', "X-Linked-Size": size,
                                                                      "Location": "/x"})
            self.refuses("size")

    def test_a_size_for_which_no_disk_is_large_enough(self):
        self.world.fail("/resolve/", 302, method="HEAD", headers={"X-Linked-Etag": '"ab"', "X-Linked-Size": str(2**62),
                                                                  "Location": "/x"})
        self.refuses("disk is too full")

    def test_answers_that_are_no_listing(self):
        for body in (b"", b"[]", b"{", b"null", b"5", b'{"sha": 5}', b'{"sha": "' + b"a" * 40 + b'"}',
                     b'{"sha": "' + b"a" * 40 + b'", "siblings": [5]}', b"[" * 100000, b"<html>"):
            def lie(handler, asked, body=body):
                handler.answer(200, {}, body)
                return True

            self.world.faults[:] = [lie]
            self.refuses()

    def test_redirects_without_end_or_elsewhere(self):
        for target, word in (("/api/models/x/revision/y", "redirects more than"), ("file:///etc/passwd", "no web address"),
                             ("gopher://127.0.0.1/", "no web address")):
            def turn(handler, asked, target=target):
                handler.answer(302, {"Location": target})
                return True

            self.world.faults[:] = [turn]
            self.refuses(word)

    def test_a_file_where_a_folder_is_needed(self):
        self.world.repos[NAME] = Repo(self.files | {"1_Pooling": b"a file"})
        self.pulled()  # it is not needed, so it is not taken

    def test_endless_headers_and_bodies(self):
        def endless(handler, asked):
            handler.send_response(200)
            handler.end_headers()
            for _ in range(2000):
                handler.wfile.write(b"x" * 100_000)
            return True

        self.world.faults.append(endless)
        self.refuses("longer than")


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


class Commands(Case):
    def setUp(self):
        super().setUp()
        self.repo.commits = dict(COMMITS)
        self.repo.trees = {commit: dict(self.files) for commit in COMMITS.values()}
        self.repo.trees[COMMITS["old"]]["tokenizer_config.json"] = b'{"model_max_length": 7}'

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
    if not BINARY:
        sys.exit("WDE_BINARY is not set")
    unittest.main()
