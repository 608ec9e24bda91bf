#!/usr/bin/env python3
"""A Hub that lies: content, sizes, names, commits, redirects and listings that are wrong on purpose.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import shutil
import unittest

from hub import NAME, WEIGHTS, Case
from hub_server import COMMITS, Repo, etag_of


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


if __name__ == "__main__":
    unittest.main()
