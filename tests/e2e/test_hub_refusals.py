#!/usr/bin/env python3
"""What the Hub refuses, and what is said of it: unknown, gated and private models, tokens, limits, errors of the server.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import time
import unittest

from hub import NAME, Case
from hub_server import Repo


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
        self.assertFailed(self.pull("someone/gguf"), "no weights in a format", "model.gguf", "GGUF is not read here")
        self.world.repos["someone/none"] = Repo({"README.md": b"r"})
        self.assertFailed(self.pull("someone/none"), "no config.json")

    def test_a_tokenizer_that_must_be_converted(self):
        """Said before the weights are loaded."""
        self.world.repos["someone/pieces"] = Repo({"config.json": b"{}", "model.safetensors": b"w", "spiece.model": b"p"})
        self.assertFailed(self.pull("someone/pieces"), "no tokenizer.json", "spiece.model", "AutoTokenizer.from_pretrained('someone/pieces')")
        self.assertEqual(self.world.asked(part="model.safetensors"), [])


if __name__ == "__main__":
    unittest.main()
