#!/usr/bin/env python3
"""What `wde serve` answers where another answer would be wrong without a word: values, and what it says of them.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import math
import re
import subprocess
import time
import unittest

from serving import BINARY, DATA, SLOW, TEXTS, Case, Server, embed_command


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.stop()


def sparse_of(answer):
    return {item["index"]: item["value"] for item in answer}


class Answers(Case):
    def test_a_query_is_computed_once_for_its_documents(self):
        with Server(DATA / "colbert-pylate-bert") as s:
            documents = [f"document number {i} of twenty" for i in range(20)]
            alone = sum(self.assertStatus(s.post("/pooling", {"input": d}), 200)["usage"]["total_tokens"] for d in documents)
            query = self.assertStatus(s.post("/pooling", {"input": "what is it?", "prompt_name": "query"}), 200)["usage"]["total_tokens"]
            for _ in range(2):  # what was asked before does not show in the answer
                found = self.assertStatus(s.post("/v1/rerank", {"query": "what is it?", "documents": documents}), 200)
                self.assertEqual(found["usage"]["total_tokens"], query + alone)

    def test_halves_of_surrogate_pairs(self):
        want = self.assertStatus(server.post("/v1/embeddings", {"input": ["ok", "cut \ufffd"]}), 200)
        found = self.assertStatus(server.post("/v1/embeddings", b'{"input": ["ok", "cut \\ud83d"]}'), 200)
        self.assertEqual([d["embedding"] for d in found["data"]], [d["embedding"] for d in want["data"]])
        self.assertStatus(server.post("/v1/embeddings", b'{"input": "raw \xed\xa0\xbd"}'), 400)
        self.assertStatus(server.post("/v1/embeddings", b'{"input": "bad \\ud83"}'), 400)

    def test_the_item_that_is_wrong(self):
        long = "word " * 600
        for path, body, style in [("/v1/embeddings", {"input": ["a", "b", long]}, "input[2]"),
                                  ("/v1/embeddings", {"input": long}, "input"),
                                  ("/v1/rerank", {"query": "q", "documents": ["a", long]}, "documents[1]"),
                                  ("/v1/rerank", {"query": long, "documents": ["a"]}, "query"),
                                  ("/score", {"text_1": "q", "text_2": ["a", long]}, "text_2[1]"),
                                  ("/v2/embed", {"texts": ["a", long], "truncate": "NONE"}, "texts[1]"),
                                  ("/pooling", {"input": ["a", long]}, "input[1]")]:
            error = self.assertStatus(server.post(path, {"long_input": "error", **body} if "truncate" not in body else body), 400)["error"]
            self.assertEqual([error["param"], error["code"]], [style, "context_length_exceeded"], path)
            self.assertTrue(error["message"].startswith(f"`{style}`: "), error)
        error = self.assertStatus(server.post("/embed", {"inputs": ["a", long], "truncate": False}), 422)["error"]
        self.assertTrue(error.startswith("`inputs[1]`: "), error)
        error = self.assertStatus(server.post("/api/embed", {"model": "bert-mean", "input": ["a", long], "truncate": False}), 400)["error"]
        self.assertIn("`input[1]`", error)
        # More tokens than are even counted.
        error = self.assertStatus(server.post("/v1/embeddings", {"input": ["a", "ab " * 300000], "long_input": "error"}), 400)["error"]
        self.assertEqual([error["param"], error["code"]], ["input[1]", "context_length_exceeded"])
        # One unknown word is one token, however long it is.
        self.assertStatus(server.post("/v1/embeddings", {"input": ["a", "ab" * 400000], "long_input": "error"}), 200)

    def test_what_was_cut(self):
        long = "word " * 600
        answer = server.post("/v1/embeddings", {"input": ["a", long]})
        self.assertEqual([d.get("truncated") for d in self.assertStatus(answer, 200)["data"]], [None, True])
        self.assertEqual(answer.headers["x-truncated-inputs"], "1")
        for path, body in [("/embed", {"inputs": ["a", long, long]}), ("/api/embed", {"model": "bert-mean", "input": ["a", long, long]})]:
            answer = server.post(path, body)
            self.assertStatus(answer, 200)
            self.assertEqual(answer.headers["x-truncated-inputs"], "2", path)
        found = self.assertStatus(server.post("/v2/embed", {"texts": ["a", long]}), 200)
        self.assertEqual(found["meta"]["warnings"], ["1 of 2 inputs were cut to the maximum length"])
        answer = server.post("/v1/rerank", {"query": "q", "documents": ["a", long]})
        self.assertEqual({r["index"]: r.get("truncated") for r in self.assertStatus(answer, 200)["results"]}, {0: None, 1: True})
        for body in [{"input": ["a", "b"]}, {"input": ["a", long], "long_input": "average"}]:
            self.assertNotIn("x-truncated-inputs", server.post("/v1/embeddings", body).headers)

    def test_other_models_names(self):
        body = {"model": "bge-m3", "input": "a"}
        for path in ["/api/embed", "/ollama/api/embed", "/ollama/v1/embeddings"]:
            self.assertStatus(server.post(path, body), 404)
        error = self.assertStatus(server.post("/api/embed", body), 404)["error"]
        self.assertTrue(error.startswith('model "bge-m3" not found'), error)
        self.assertStatus(server.post("/api/embeddings", {"model": "bge-m3", "prompt": "a"}), 404)
        self.assertStatus(server.post("/api/show", {"model": "bge-m3"}), 404)
        for name in ["bert-mean", "bert-mean:latest", "BERT-mean"]:
            self.assertStatus(server.post("/api/embed", {**body, "model": name}), 200)
        self.assertEqual(self.assertStatus(server.post("/v1/embeddings", body), 200)["model"], "bert-mean")
        # What changes the server's state means the model that it names.
        for path in ["/models/unload", "/models/load"]:
            self.assertStatus(server.post(path, {"model": "bge-m3"}), 404)
        with Server(flags=["--strict-model-name", "--strict-dimensions"]) as strict:
            self.assertEqual(self.assertStatus(strict.post("/v1/embeddings", body), 404)["error"]["code"], "model_not_found")
            self.assertStatus(strict.post("/v1/embeddings", {**body, "model": "bert-mean"}), 200)
            self.assertStatus(strict.post("/v1/embeddings", {"input": "a"}), 200)
            error = self.assertStatus(strict.post("/v1/embeddings", {"input": "a", "dimensions": 8}), 400)["error"]
            self.assertEqual(error["param"], "dimensions")

    def test_dimensions_that_are_not_declared(self):
        with Server() as s:
            for _ in range(2):
                answer = s.post("/v1/embeddings", {"input": TEXTS[0], "dimensions": 8})
                found = self.assertStatus(answer, 200)["data"][0]["embedding"]
                self.assertIn("matryoshka", answer.headers["x-warning"])
            self.assertClose(found, embed_command(TEXTS[0], flags=["--dimensions", "8"])[0]["embedding"])
            for facts in [s.get("/info").json, s.get("/v1/models").json["data"][0]]:
                self.assertEqual([facts["is_matryoshka"], facts["matryoshka_dimensions"]], [False, []])
            self.assertNotIn("is_matryoshka", s.get("/tei/info").json)
            log = s.stop()
            self.assertEqual(log.count("matryoshka"), 1, log)

    def test_what_it_computes_in(self):
        for dtype, quantization in [("float32", "F32"), ("int8", "I8"), ("bfloat16", "BF16")]:
            with Server(flags=["--dtype", dtype]) as s:
                self.assertEqual(s.get("/info").json["model_dtype"], dtype)
                self.assertEqual(s.get("/v1/models").json["data"][0]["dtype"], dtype)
                self.assertEqual(s.get("/api/tags").json["models"][0]["details"]["quantization_level"], quantization)
                shown = self.assertStatus(s.post("/api/show", {"model": "bert-mean"}), 200)
                self.assertEqual(shown["details"]["quantization_level"], quantization)
                self.assertEqual(shown["details"]["family"], "bert")
                length = s.get("/info").json["max_input_length"]
                self.assertEqual(shown["model_info"], {"general.architecture": "bert", "bert.context_length": length,
                                                       "bert.embedding_length": s.get("/v1/models").json["data"][0]["dimensions"]})

    def test_a_sparse_model_is_no_embedder(self):
        texts = ["some text", "a text", "words alone"]
        with Server(DATA / "bert-splade") as s:
            weights = [sparse_of(one) for one in self.assertStatus(s.post("/embed_sparse", {"inputs": texts}), 200)]
            self.assertEqual([sparse_of(one) for one in self.assertStatus(s.post("/", {"inputs": texts}), 200)], weights)
            pooled = self.assertStatus(s.post("/pooling", {"input": texts}), 200)["data"]
            self.assertEqual([{int(k): v for k, v in one["data"].items()} for one in pooled], weights)
            scores = [sum(value * other.get(index, 0) for index, value in weights[0].items()) for other in weights]
            found = self.assertStatus(s.post("/v1/rerank", {"query": texts[0], "documents": texts}), 200)["results"]
            self.assertClose([r["relevance_score"] for r in found], sorted(scores, reverse=True), 1e-4)
            found = self.assertStatus(s.post("/score", {"text_1": texts[0], "text_2": texts}), 200)["data"]
            self.assertClose([r["score"] for r in found], scores, 1e-4)
            error = self.assertStatus(s.post("/v1/embeddings", {"input": "a"}), 400)["error"]
            self.assertEqual(error["code"], "wrong_model_type")
            self.assertIn("/embed_sparse", error["message"])
            for path, body in [("/embed", {"inputs": "a"}), ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}})]:
                self.assertStatus(s.post(path, body), 424)
            self.assertStatus(s.post("/api/embed", {"model": "bert-splade", "input": "a"}), 400)
            self.assertNotIn("embed", s.get("/v1/models").json["data"][0]["tasks"])
            self.assertEqual(s.get("/info").json["model_type"], {"embedding": {"pooling": "splade"}})
        alone = subprocess.run([BINARY, "embed", "--model", str(DATA / "bert-splade"), "a"], capture_output=True, timeout=60 * SLOW, check=False)
        self.assertNotEqual(alone.returncode, 0)
        self.assertIn(b"--pooling mean", alone.stderr)
        self.assertEqual(len(embed_command("a", model=DATA / "bert-splade", flags=["--pooling", "mean"])[0]["embedding"]), 48)

    def test_a_query_that_leaves_no_room(self):
        with Server(DATA / "qwen3-reranker") as s:
            limit = s.get("/info").json["max_input_length"]
            body = {"query": "word " * limit, "documents": ["aa bb", "cc dd ee"]}
            error = self.assertStatus(s.post("/v1/rerank", body), 400)["error"]
            self.assertEqual(error["code"], "context_length_exceeded")
            self.assertEqual(error["param"], "documents[0]")
            found = re.search(r"leaves no room for the document: the template has (\d+) tokens, the query (\d+), the document (\d+), "
                              rf"and the maximum length is {limit}$", error["message"])
            self.assertTrue(found, error)
            self.assertGreater(int(found[2]), limit - 10)
            self.assertLess(int(found[3]), 10)
            answer = s.post("/v1/rerank", {"query": "a word", "documents": ["aa bb", "cc " * limit]})
            self.assertEqual({r["index"]: r.get("truncated") for r in self.assertStatus(answer, 200)["results"]}, {0: None, 1: True})
            self.assertStatus(s.post("/rerank", {"query": "a", "texts": ["b"], "truncation_direction": "left"}), 200)
            self.assertStatus(s.post("/rerank", {"query": "a", "texts": ["b " * limit], "truncation_direction": "left"}), 422)

    def test_characters_of_tokens(self):
        for text in ["北京", "ab 北c"]:
            tokens = [t for t in self.assertStatus(server.post("/tokenize", {"inputs": text}), 200)[0] if not t["special"]]
            self.assertEqual([text[t["start"]:t["stop"]] for t in tokens], [t["text"] for t in tokens])
        self.assertLessEqual(tokens[-1]["stop"], len(text))

    def test_metrics_of_the_process(self):
        found = dict(re.findall(r"^([a-z_]+)(?:\{[^}]*\})? (\S+)$", server.get("/metrics").body.decode(), re.M))
        self.assertLess(abs(float(found["process_start_time_seconds"]) - time.time()), 600 * SLOW)
        self.assertGreater(float(found["process_cpu_seconds_total"]), 0)
        self.assertGreater(float(found["process_open_fds"]), 3)
        self.assertGreater(float(found["process_max_fds"]), float(found["process_open_fds"]))
        self.assertGreater(float(found["process_virtual_memory_bytes"]), float(found["process_resident_memory_bytes"]))
        version = server.get("/version").json["version"]
        self.assertIn(f'wde_build_info{{version="{version}"}} 1', server.get("/metrics").body.decode())

    def test_parameters_of_pipelines(self):
        with Server(DATA / "bert-classify") as s:
            everything = self.assertStatus(s.post("/", {"inputs": "some text"}), 200)[0]  # as the Hub's clients read it
            raw = {p["label"]: p["score"] for p in self.assertStatus(s.post("/predict", {"inputs": "some text", "raw_scores": True}), 200)}
            found = self.assertStatus(s.post("/", {"inputs": "some text", "parameters": {"top_k": 1}}), 200)
            self.assertEqual(found, [everything[:1]])
            found = self.assertStatus(s.post("/predict", {"inputs": "some text", "parameters": {"function_to_apply": "sigmoid"}}), 200)
            self.assertClose([p["score"] for p in found], [1 / (1 + math.exp(-raw[p["label"]])) for p in found])
            error = self.assertStatus(s.post("/", {"inputs": "x", "parameters": {"candidate_labels": ["a", "b"]}}), 422)["error"]
            self.assertIn("candidate_labels", error)
            answer = s.post("/predict", {"inputs": ["x", "y"]})
            self.assertStatus(answer, 200)
            self.assertIn("one pair", answer.headers["x-warning"])
            self.assertNotIn("embed", s.get("/v1/models").json["data"][0]["tasks"])

    def test_a_model_that_cannot_be_loaded(self):
        process = subprocess.run([BINARY, "serve", "--port", "0", "--model", str(DATA / "no-such-model")], capture_output=True,
                                 timeout=60 * SLOW, check=False)
        self.assertEqual(process.returncode, 1)
        self.assertNotIn(b"draining", process.stderr)
        self.assertIn(b"no-such-model could not be loaded", process.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
