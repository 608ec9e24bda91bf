#!/usr/bin/env python3
"""Models from the Hub: which files are downloaded, where the cache has them, and its revisions.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import shutil
import subprocess
import unittest

from hub import BINARY, DATA, NAME, TIMEOUT, WEIGHTS, Case, model_files
from hub_server import COMMITS, Repo, etag_of


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
        self.give_history()

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


if __name__ == "__main__":
    unittest.main()
