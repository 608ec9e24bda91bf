#!/usr/bin/env python3
"""Nothing that a client sends takes unbounded memory or time, and what is not read of a text makes no difference. Needs WDE_BINARY
and WDE_TEST_DATA. Standard library only."""
import os
import json
import pathlib
import random
import signal
import socket
import time
import unittest

import attackers
from serving import DATA, MODEL, SLOW, Case, Server, embed_command, in_threads

UNIGRAM = DATA / "xlm-roberta-cls"
MB = 1 << 20
ROOM = 6 if os.environ.get("WDE_SANITIZE") else 1  # a sanitizer keeps what is freed for a while


def peak(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10


def post(server, path, body):
    """Not spelled in ASCII, so that bytes are those of the text."""
    return server.post(path, json.dumps(body, ensure_ascii=False).encode())


class Nothing(Case):
    """Characters that make no tokens, and more of them than any number of bytes that a model's longest text may have."""

    def check(self, model, text, same, truncates=("START", "END", False)):
        with Server(model, flags=["--max-concurrent-requests", "64"]) as server:
            expected = embed_command(same, model=model)[0]["embedding"]
            for truncate in truncates:
                body = {"inputs": [text, same], "truncate": truncate is not False, "truncation_direction": "left" if truncate == "START" else "right"}
                long, short = self.assertStatus(post(server, "/embed", body), 200)
                self.assertClose(short, expected)
                self.assertEqual(long, short)
            # Tokens with offsets take another way than those without.
            long, short = self.assertStatus(post(server, "/tokenize", {"inputs": [text, same]}), 200)
            self.assertEqual([t["id"] for t in long], [t["id"] for t in short])
            self.assertEqual(long[-2]["text"], short[-2]["text"])  # offsets are those of the whole text

    def test_blanks(self):
        self.check(MODEL, " " * 140_000 + "hello world", "hello world")
        self.check(MODEL, "hello " + " " * 140_000 + "world", "hello world")
        self.check(MODEL, "hello world" + " " * 140_000, "hello world")

    def test_other_characters(self):
        for character in ("\n", "\u0001", "\u200b", "\u0301", "\ufeff"):
            with self.subTest(character):
                self.check(MODEL, character * 140_000 + "hello world", "hello world")

    def test_unknown_ones(self):
        self.check(MODEL, "x" * 140_000 + " hello", "x" * 200 + " hello")

    def test_unigram(self):
        self.check(UNIGRAM, " " * 140_000 + "hello world", "hello world", ())
        self.check(UNIGRAM, "hello " + " " * 140_000 + "world ", "hello world ", ())
        self.check(UNIGRAM, "\U0001fae8" * 40_000 + " hello", "\U0001fae8 hello", ())


class Pieces(Case):
    """"long_input": "average"."""

    def test_more_tokens_than_bytes(self):
        with Server(UNIGRAM) as server:
            body = self.assertStatus(post(server, "/v1/embeddings", {"input": "ﷺ" * 400, "long_input": "average"}), 200)
            self.assertGreater(body["usage"]["prompt_tokens"], 1200)

    def test_the_work_grows_with_the_text(self):
        with Server() as server:
            start = time.monotonic()
            text = "统一码" * 110_000
            body = self.assertStatus(post(server, "/v1/embeddings", {"input": text, "long_input": "average"}), 200)
            self.assertGreaterEqual(body["usage"]["prompt_tokens"], 330_000)
            self.assertLess(time.monotonic() - start, 60 * SLOW)

    def test_gone_clients_and_signals(self):
        body = json.dumps({"input": "统一码" * 1_000_000, "long_input": "average"}, ensure_ascii=False).encode()
        with Server() as server:
            sockets = [socket.create_connection((server.host, server.port)) for _ in range(2)]
            for s in sockets:
                s.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(0.5)
            sockets[0].close()
            start = time.monotonic()
            while server.post("/embed", {"inputs": "others"}).status == 429:
                time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(timeout=20 * SLOW)
            self.assertLess(time.monotonic() - start, 20 * SLOW)
            sockets[1].close()
            server.stop(expect=server.process.returncode)


class Answers(Case):
    """Bodies that ask for more than fits."""

    def test_rows_of_all_tokens(self):
        with Server(flags=["--max-answer-bytes", "20000000"]) as server:
            before = peak(server)
            texts = ["word " * 100] * 2048
            for path, body in (("/embed_all", {"inputs": texts}), ("/pooling", {"input": texts, "task": "token_embed"})):
                answer = server.post(path, body)
                self.assertEqual(answer.status, 413, (path, answer))
                self.assertIn("MiB", answer.body.decode())
            self.assertStatus(server.post("/embed_all", {"inputs": texts[:8]}), 200)
            self.assertLess(peak(server) - before, 200 * MB * ROOM)

    def test_what_was_underestimated(self):
        # Each "!" is a token: twice as many as are expected of so many bytes.
        with Server(flags=["--max-answer-bytes", "30000000"]) as server:
            answer = server.post("/embed_all", {"inputs": ["!" * 120] * 800})
            self.assertEqual(answer.status, 413, answer)
            self.assertStatus(server.post("/embed", {"inputs": "others"}), 200)

    def test_one_prompt_for_all(self):
        with Server() as server:
            expected = self.assertStatus(server.post("/embed", {"inputs": "x" * 200}), 200)[0]
            before = peak(server)
            vectors = self.assertStatus(server.post("/embed", {"inputs": ["a"] * 2048, "prompt": "x" * 300_000}), 200)
            self.assertEqual(len(vectors), 2048)
            self.assertEqual(vectors[0], expected)  # one unknown word
            self.assertEqual(vectors[2047], expected)
            self.assertEqual(server.post("/tokenize", {"inputs": ["a"] * 2048, "prompt": "x" * 1_000_000}).status, 413)
            self.assertLess(peak(server) - before, 200 * MB * ROOM)

    def test_one_query_for_all(self):
        with Server(DATA / "bert-cross-encoder") as server:
            before = peak(server)
            for length in (20_000, 1_000_000):
                answer = server.post("/rerank", {"query": "x" * length, "texts": ["a"] * 2048})
                self.assertEqual(answer.status, 200 if length == 20_000 else 422, answer)
            self.assertLess(peak(server) - before, 150 * MB * ROOM)

    def test_one_large_text(self):
        with Server() as server:
            before = peak(server)
            tokens = self.assertStatus(server.post("/tokenize", {"inputs": "word " * 3_000_000}), 200)[0]
            self.assertEqual(len(tokens), len(self.assertStatus(server.post("/tokenize", {"inputs": "word " * 3000}), 200)[0]))
            self.assertLess(peak(server) - before, 250 * MB * ROOM)

    def test_many_short_texts(self):
        # 100 requests have 200,000 texts, but less than a megabyte.
        with Server(flags=["--max-queue-bytes", "4000000", "--workers", "1", "--attn-backend", "naive"]) as server:
            self.assertStatus(server.post("/tokenize", {"inputs": ["a"] * 2048}), 200)
            before = peak(server)
            statuses = []
            in_threads(100, lambda _: statuses.append(server.post("/tokenize", {"inputs": ["a"] * 2048}).status))
            self.assertLessEqual(set(statuses), {200, 429})
            self.assertLess(peak(server) - before, 80 * MB * ROOM)

    def test_pixels(self):
        with Server(DATA / "clip") as server:
            before = peak(server)
            url = attackers.data_url(attackers.blank_png(8192))
            answer = server.post("/v1/embeddings", {"input": [{"image": url}] * 200})
            self.assertEqual(answer.status, 413, answer)
            self.assertIn("13422 million pixels", answer.body.decode())
            self.assertLess(peak(server) - before, 100 * MB * ROOM)
            small = attackers.data_url(attackers.blank_png(64))
            self.assertStatus(server.post("/v1/embeddings", {"input": [{"image": small}] * 200}), 200)


class Attackers(Case):
    def test_each_is_answered_or_refused(self):
        with Server(MODEL, DATA / "clip", flags=["--payload-limit", "4000000", "--max-queue-bytes", "16000000"]) as server:
            before, rng = peak(server), random.Random(1)
            for attack in attackers.ALL:
                self.assertIn(attack(server, rng), attackers.FINE, attack.__name__)
                start = time.monotonic()
                self.assertStatus(server.get("/health/live"), 200)
                self.assertLess(time.monotonic() - start, SLOW)
            self.assertLess(peak(server) - before, 700 * MB * SLOW)


if __name__ == "__main__":
    unittest.main(verbosity=2)
