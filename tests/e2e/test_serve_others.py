#!/usr/bin/env python3
"""The other dialects of `wde serve` (Cohere's, vLLM's, Infinity's, Ollama's), and what all routes have in common: paths, methods,
media types, request ids, metrics, deadlines.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import base64
import re
import struct
import time
import unittest

from serving import TEXTS, Case, Server, embed_command, in_threads, unit


def setUpModule():
    global server, VECTORS
    server = Server()
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]


def tearDownModule():
    server.stop()


class Others(Case):
    def test_cohere_embed(self):
        types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
        body = {"texts": TEXTS, "input_type": "clustering", "embedding_types": types, "truncate": "END"}
        found = self.assertStatus(server.post("/v2/embed", body), 200)
        self.assertEqual(set(found["embeddings"]), set(types))
        self.assertEqual(found["texts"], TEXTS)
        self.assertEqual(found["response_type"], "embeddings_by_type")
        self.assertClose(found["embeddings"]["float"][0], VECTORS[0])
        self.assertClose(struct.unpack("<48f", base64.b64decode(found["embeddings"]["base64"][0])), VECTORS[0])
        self.assertEqual([len(found["embeddings"][t][0]) for t in ["binary", "ubinary"]], [6, 6])
        self.assertEqual([b + 128 for b in found["embeddings"]["binary"][0]], found["embeddings"]["ubinary"][0])
        self.assertEqual([b + 128 for b in found["embeddings"]["int8"][0]], found["embeddings"]["uint8"][0])
        old = self.assertStatus(server.post("/v1/embed", {"texts": TEXTS}), 200)
        self.assertEqual(len(old["embeddings"]), 3)
        inputs = [{"content": [{"type": "text", "text": "a"}]}]
        self.assertStatus(server.post("/cohere/v2/embed", {"inputs": inputs, "input_type": "search_query"}), 200)
        found = self.assertStatus(server.post("/cohere/v2/embed", {"inputs": inputs, "input_type": "serach_query"}), 400)
        self.assertIn('"serach_query" is neither a role (query, document,', found["message"])
        found = self.assertStatus(server.post("/v2/embed", {"texts": ["a"], "embedding_types": ["float64"]}), 400)
        self.assertIn("float64", found["message"])

    def test_pooling(self):
        found = self.assertStatus(server.post("/pooling", {"input": TEXTS}), 200)
        self.assertClose(found["data"][0]["data"], VECTORS[0])
        found = self.assertStatus(server.post("/pooling", {"input": "a", "task": "token_embed"}), 200)
        self.assertEqual(len(found["data"][0]["data"][0]), 48)
        self.assertStatus(server.post("/classify", {"input": "a"}), 400)

    def test_infinity(self):
        found = self.assertStatus(server.get("/infinity/models"), 200)["data"][0]
        self.assertEqual((found["owned_by"], found["capabilities"]), ("infinity", ["embed", "rerank"]))
        self.assertEqual(set(found["stats"]), {"queue_fraction", "queue_absolute", "results_pending", "batch_size"})
        self.assertLess(abs(self.assertStatus(server.get("/infinity/health"), 200)["unix"] - time.time()), 60)
        # All that its client sends where its user says nothing.
        body = {"input": TEXTS, "model": "default/not-specified", "dimensions": 0, "modality": "text"}
        found = self.assertStatus(server.post("/infinity/embeddings", body), 200)
        self.assertClose(found["data"][1]["embedding"], VECTORS[1])

    def test_ollama(self):
        found = self.assertStatus(server.post("/api/embed", {"model": "bert-mean:latest", "input": TEXTS}), 200)
        self.assertClose(found["embeddings"][1], unit(VECTORS[1]))
        self.assertGreater(found["prompt_eval_count"], 3)
        found = self.assertStatus(server.post("/ollama/api/embeddings", {"model": "bert-mean", "prompt": TEXTS[0]}), 200)
        self.assertClose(found["embedding"], VECTORS[0])
        self.assertIsInstance(self.assertStatus(server.post("/api/embed", {"model": "bert-mean", "input": 5}), 400)["error"], str)
        self.assertEqual(self.assertStatus(server.post("/api/embed", {"model": "bert-mean"}), 200)["embeddings"], [])
        long = {"model": "bert-mean", "input": "word " * 5000}
        found = self.assertStatus(server.post("/api/embed", {**long, "truncate": False}), 400)
        self.assertIn("the input length exceeds the context length", found["error"])
        averaged = self.assertStatus(server.post("/api/embed", {**long, "long_input": "average"}), 200)["embeddings"]
        expected = self.assertStatus(server.post("/embed", {"inputs": long["input"], "long_input": "average"}), 200)
        self.assertClose(averaged[0], expected[0])
        self.assertEqual(self.assertStatus(server.get("/api/tags"), 200)["models"][0]["name"], "bert-mean")
        self.assertIn("version", self.assertStatus(server.get("/api/version"), 200))
        self.assertIn("embedding", self.assertStatus(server.post("/api/show", {"model": "bert-mean"}), 200)["capabilities"])

    def test_paths_and_methods(self):
        self.assertStatus(server.get("/none"), 404)
        self.assertStatus(server.post("/none", {}), 404)
        answer = server.get("/embed")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST"))
        answer = server.request("DELETE", "/health")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        for path in ["/health", "/ping", "/health/live", "/health/ready", "/", "/version", "/tei/health", "/openapi.json"]:
            self.assertEqual(server.get(path).status, 200, path)
            head = server.request("HEAD", path)
            self.assertEqual((head.status, head.body), (200, b""), path)

    def test_media_type(self):
        def status(path, kind, **more):
            return server.request("POST", path, '{"inputs":"a","input":"a"}', {**({"Content-Type": kind} if kind else {}), **more}).status

        for good in ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.api+json", "text/json"]:
            self.assertEqual(status("/embed", good), 200, good)
        curl = "application/x-www-form-urlencoded"
        for bad in ["image/png", "text/plain; a=json", "application/jsonp", "text/plain", curl, None]:
            self.assertEqual(status("/embed", bad), 415, bad)
        # Ollama's documentation asks with curl alone.
        for path in ["/api/embed", "/ollama/api/embed", "/api/embeddings"]:
            self.assertEqual([status(path, curl), status(path, None), status(path, "image/png")], [200, 200, 415], path)
            self.assertEqual(status(path, curl, Origin="http://evil"), 403, path)

    def test_request_id_and_trace(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        answer = server.post("/embed", {"inputs": "a"}, {"X-Request-Id": "abc", "traceparent": trace})
        self.assertEqual(answer.headers["x-request-id"], "abc")
        self.assertEqual(answer.headers["traceparent"], trace)
        ids = {server.get("/health").headers["x-request-id"] for _ in range(5)}
        self.assertEqual(len(ids), 5)
        self.assertNotIn("Access-Control-Allow-Origin", server.get("/health", {"Origin": "http://a"}).headers)

    def test_metrics(self):
        server.post("/embed", {"inputs": "a"})
        text = server.get("/metrics").body.decode()
        self.assertTrue(re.search(r'te_request_count\{method="single",model="bert-mean"\} \d+', text))
        for name in ["te_request_duration_bucket", "te_request_queue_duration_sum", "te_embed_count",
                     'te_queue_size{model="bert-mean"}', 'wde_queue_tokens{model="bert-mean"}',
                     "te_request_input_length_bucket", "wde_tokens_total", "process_resident_memory_bytes"]:
            self.assertTrue(name in text, name)
        self.assertFalse("/none" in text)
        # Whatever a stranger asks for, the server's memory of it does not grow.
        for method in ["OPTIONS", "GET", "POST", "PUT", "HEAD", "BREW"]:
            server.request(method, "/strange", "{}")
            server.request(method, "/v1/models/strange", "{}")
        self.assertFalse("strange" in server.get("/metrics").body.decode())

    def test_deadline(self):
        body = {"inputs": ["some words " * 200] * 500}
        answer = server.post("/embed", body, {"X-Request-Timeout-Ms": "1"})
        self.assertEqual(answer.status, 504, answer)
        self.assertEqual(server.post("/embed", {"inputs": "a"}, {"X-Request-Timeout-Ms": "x"}).status, 422)

    def test_answers_are_not_crossed(self):
        expected = {i: row["embedding"] for i, row in enumerate(embed_command(*[f"number {i}" for i in range(24)]))}

        def ask(i):
            for _ in range(5):
                found = server.post("/v1/embeddings", {"input": f"number {i}"}).json
                self.assertClose(found["data"][0]["embedding"], expected[i], 1e-6)

        in_threads(24, ask)


if __name__ == "__main__":
    unittest.main(verbosity=2)
