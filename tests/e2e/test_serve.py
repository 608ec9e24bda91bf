#!/usr/bin/env python3
"""The routes of `wde serve`: every one good and bad, with the status and the shape that its clients expect, and numbers
equal to those of the command line.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import base64
import gzip
import json
import math
import os
import re
import signal
import struct
import tempfile
import time
import unittest

from serving import DATA, MODEL, SLOW, Server, embed_command, in_threads

TEXTS = ["a first text", "another", "the third one is longer than the others"]


def setUpModule():
    global server, VECTORS
    server = Server()
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]
    # As a model with prompts sees a query and documents.
    global SCORES
    query = embed_command(TEXTS[0], flags=["--prompt-name", "query"])[0]["embedding"]
    prompts = json.loads((MODEL / "config_sentence_transformers.json").read_text())["prompts"]
    prompt = next((["--prompt-name", name] for name in ["document", "passage"] if name in prompts), [])
    SCORES = [cosine(query, row["embedding"]) for row in embed_command(*TEXTS, flags=prompt)]


def tearDownModule():
    server.stop()


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def cosine(a, b):
    return sum(x * y for x, y in zip(unit(a), unit(b)))


class Case(unittest.TestCase):
    def assertClose(self, found, expected, tolerance=1e-5):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertLess(abs(a - b), tolerance)

    def assertStatus(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        return answer.json if answer.body else None


class OpenAi(Case):
    def test_texts(self):
        answer = server.post("/v1/embeddings", {"model": "bert-mean", "input": TEXTS, "user": "u", "unknown": {"a": [1]}})
        found = self.assertStatus(answer, 200)
        self.assertEqual(found["object"], "list")
        self.assertEqual(found["model"], "bert-mean")
        self.assertEqual([d["index"] for d in found["data"]], [0, 1, 2])
        self.assertTrue(all(d["object"] == "embedding" for d in found["data"]))
        for item, expected in zip(found["data"], VECTORS):
            self.assertEqual([struct.pack("f", x) for x in item["embedding"]], [struct.pack("f", x) for x in expected])
        self.assertGreater(found["usage"]["prompt_tokens"], 6)
        self.assertEqual(found["usage"]["prompt_tokens"], found["usage"]["total_tokens"])

    def test_one_text_and_base64(self):
        found = self.assertStatus(server.post("/v1/embeddings", {"input": TEXTS[0], "encoding_format": "base64"}), 200)
        values = struct.unpack("<48f", base64.b64decode(found["data"][0]["embedding"]))
        self.assertClose(values, VECTORS[0], 1e-7)

    def test_dimensions_are_cut_and_normalised(self):
        found = self.assertStatus(server.post("/v1/embeddings", {"input": TEXTS[0], "dimensions": 8}), 200)
        self.assertEqual(len(found["data"][0]["embedding"]), 8)
        length = math.sqrt(sum(x * x for x in VECTORS[0]))
        if abs(length - 1) < 1e-3:
            self.assertClose(found["data"][0]["embedding"], unit(VECTORS[0][:8]))

    def test_prefixes_and_trailing_slash(self):
        for path in ["/openai/v1/embeddings", "/embeddings", "/v1/embeddings/", "/jina/v1/embeddings", "/infinity/embeddings"]:
            self.assertStatus(server.post(path, {"input": "a"}), 200)

    def test_two_thousand_inputs(self):
        texts = [f"text number {i}" for i in range(2048)]
        found = self.assertStatus(server.post("/v1/embeddings", {"input": texts, "encoding_format": "base64"}), 200)
        self.assertEqual(len(found["data"]), 2048)
        few = [0, 1, 700, 2047]
        expected = embed_command(*[texts[i] for i in few])
        for i, row in zip(few, expected):
            self.assertClose(struct.unpack("<48f", base64.b64decode(found["data"][i]["embedding"])), row["embedding"], 1e-6)

    def test_voyage_formats(self):
        floats = VECTORS[0]
        body = {"input": [TEXTS[0]], "input_type": None, "truncation": True}
        found = self.assertStatus(server.post("/voyage/v1/embeddings", {**body, "output_dtype": "ubinary"}), 200)
        bits = "".join(f"{byte:08b}" for byte in found["data"][0]["embedding"])
        self.assertEqual(bits, "".join("1" if x > 0 else "0" for x in floats))
        found = self.assertStatus(server.post("/voyage/v1/embeddings", {**body, "output_dtype": "int8"}), 200)
        self.assertGreater(cosine(found["data"][0]["embedding"], floats), 0.999)

    def test_bad_requests(self):
        table = [
            ("{", 400, "JSON"),
            ("", 400, "JSON"),
            ("[]", 400, "object"),
            ("{}", 400, "`input`"),
            ('{"input": null}', 400, "`input`"),
            ('{"input": ""}', 400, "empty"),
            ('{"input": []}', 400, "empty"),
            ('{"input": [""]}', 400, "empty"),
            ('{"input": 3}', 400, "`input`"),
            ('{"input": {"a": 1}}', 400, "`input`"),
            ('{"input": ["a", 3]}', 400, "input[1]"),
            ('{"input": [1, 2]}', 400, "check_embedding_ctx_length"),
            ('{"input": [[1, 2]]}', 400, "check_embedding_ctx_length"),
            ('{"input": "a", "input": "b"}', 400, "twice"),
            ('{"input": "a", "model": 3}', 400, "`model`"),
            ('{"input": "a", "dimensions": 0}', 400, "`dimensions`"),
            ('{"input": "a", "dimensions": 49}', 400, "`dimensions`"),
            ('{"input": "a", "dimensions": 1.5}', 400, "`dimensions`"),
            ('{"input": "a", "encoding_format": "hex"}', 400, "`encoding_format`"),
            ('{"input": "a", "prompt_name": "none"}', 400, "`prompt_name`"),
            ('{"input": "\\ud800"}', 400, "JSON"),
            (b'{"input": "\xff"}', 400, "JSON"),
            ('{"input": NaN}', 400, "JSON"),
            ("[" * 100000, 400, "JSON"),
            ('{"input": "a", "x": ' + "[" * 40 + "]" * 40 + "}", 400, "nested"),
            ('{"input": ' + str(["a"] * 2049).replace("'", '"') + "}", 400, "2048"),
        ]
        for body, status, word in table:
            with self.subTest(body=body[:60]):
                found = self.assertStatus(server.post("/v1/embeddings", body), status)
                self.assertIn(word, found["error"]["message"])
                self.assertEqual(found["error"]["type"], "invalid_request_error")
                self.assertEqual(found["detail"], found["error"]["message"])

    def test_models(self):
        found = self.assertStatus(server.get("/v1/models"), 200)
        self.assertEqual([m["id"] for m in found["data"]], ["bert-mean"])
        self.assertStatus(server.get("/v1/models/bert-mean"), 200)
        self.assertStatus(server.get("/v1/models/none"), 404)


class Tei(Case):
    def test_embed(self):
        found = self.assertStatus(server.post("/embed", {"inputs": TEXTS}), 200)
        for row, expected in zip(found, VECTORS):
            self.assertClose(row, unit(expected))
        one = self.assertStatus(server.post("/tei/embed", {"inputs": TEXTS[0], "normalize": True, "truncate": None}), 200)
        self.assertEqual(one, [found[0]])

    def test_headers(self):
        answer = server.post("/embed", {"inputs": ["häh", "b"]})
        self.assertEqual(answer.headers["x-compute-characters"], "4")
        self.assertGreater(int(answer.headers["x-compute-tokens"]), 3)
        for name in ["x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"]:
            self.assertRegex(answer.headers[name], r"^\d+$")

    def test_embed_ids_are_the_models_own(self):
        tokens = self.assertStatus(server.post("/tokenize", {"inputs": TEXTS[0]}), 200)[0]
        found = self.assertStatus(server.post("/embed", {"inputs": [t["id"] for t in tokens]}), 200)
        self.assertClose(found[0], unit(VECTORS[0]))
        self.assertStatus(server.post("/embed", {"inputs": [[5], [99999999]]}), 422)
        self.assertStatus(server.post("/embed", {"inputs": [-1]}), 422)

    def test_embed_all(self):
        found = self.assertStatus(server.post("/embed_all", {"inputs": TEXTS[:2]}), 200)
        expected = [row["hidden"] for row in embed_command(*TEXTS[:2], command="hidden")]
        self.assertEqual([len(rows) for rows in found], [len(rows) for rows in expected])
        self.assertClose(found[1][1], expected[1][1])

    def test_truncation(self):
        long = "word " * 5000
        self.assertStatus(server.post("/embed", {"inputs": long}), 200)
        for side in ["Left", "left", "Right", "right"]:
            self.assertStatus(server.post("/embed", {"inputs": long, "truncate": True, "truncation_direction": side}), 200)
        found = self.assertStatus(server.post("/embed", {"inputs": long, "truncate": False}), 422)
        self.assertEqual(found["error_type"], "Validation")

    def test_long_input_in_pieces(self):
        long = " ".join(f"word{i} and so on" for i in range(400))
        plain = self.assertStatus(server.post("/embed", {"inputs": [TEXTS[0], long]}), 200)
        found = self.assertStatus(server.post("/embed", {"inputs": [TEXTS[0], long], "long_input": "average"}), 200)
        self.assertClose(found[0], plain[0])
        self.assertGreater(max(abs(a - b) for a, b in zip(found[1], plain[1])), 1e-3)
        self.assertClose([sum(x * x for x in found[1])], [1])
        usage = self.assertStatus(server.post("/v1/embeddings", {"input": long, "long_input": "average"}), 200)["usage"]
        self.assertGreater(usage["total_tokens"], 1600)
        self.assertStatus(server.post("/embed", {"inputs": long, "long_input": "error"}), 422)
        self.assertStatus(server.post("/embed", {"inputs": [5, 6], "long_input": "average"}), 422)

    def test_similarity(self):
        body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS}}
        found = self.assertStatus(server.post("/similarity", body), 200)
        self.assertClose(found, [cosine(VECTORS[0], v) for v in VECTORS])
        self.assertStatus(server.post("/similarity", {"inputs": {"sentences": TEXTS}}), 422)
        self.assertStatus(server.post("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}), 400)

    def test_tokenize_and_decode(self):
        text = "Hello, wörld!"
        tokens = self.assertStatus(server.post("/tokenize", {"inputs": text}), 200)[0]
        inner = [t for t in tokens if not t["special"]]
        self.assertEqual(len(tokens), len(inner) + 2)
        for token in inner:
            self.assertEqual(token["text"], text.encode()[token["start"] : token["stop"]].decode())
        self.assertIsNone(tokens[0]["start"])
        bare = self.assertStatus(server.post("/tokenize", {"inputs": [text, "a"], "add_special_tokens": False}), 200)
        self.assertEqual(bare[0], inner)
        self.assertEqual(len(bare), 2)
        decoded = self.assertStatus(server.post("/decode", {"ids": [t["id"] for t in tokens]}), 200)
        self.assertEqual(len(decoded), 1)
        self.assertIsInstance(decoded[0], str)
        self.assertEqual(len(self.assertStatus(server.post("/decode", {"ids": [[5], [6]]}), 200)), 2)
        self.assertStatus(server.post("/decode", {"ids": ["x"]}), 422)
        self.assertStatus(server.post("/decode", {"ids": [99999999]}), 422)
        vllm = self.assertStatus(server.post("/tokenize", {"prompt": text}), 200)
        self.assertEqual(vllm["tokens"], [t["id"] for t in tokens])
        self.assertEqual(vllm["count"], len(tokens))
        self.assertIn("prompt", self.assertStatus(server.post("/detokenize", {"tokens": vllm["tokens"]}), 200))

    def test_default_route_and_vertex(self):
        found = self.assertStatus(server.post("/", {"inputs": TEXTS[0]}), 200)
        self.assertEqual(len(found), 1)
        self.assertStatus(server.post("/invocations", {"inputs": TEXTS}), 200)
        found = self.assertStatus(server.post("/vertex", {"instances": [{"inputs": "a"}, {"inputs": ["b", "c"]}]}), 200)
        self.assertEqual([len(p) for p in found["predictions"]], [1, 2])

    def test_info(self):
        found = self.assertStatus(server.get("/info"), 200)
        self.assertEqual(found["served_model_name"], "bert-mean")
        self.assertEqual(found["model_type"], {"embedding": {"pooling": "mean"}})
        self.assertEqual(found["max_client_batch_size"], 2048)
        self.assertGreater(found["max_batch_tokens"], 0)
        self.assertIsNone(found["model_sha"])

    def test_wrong_model_type(self):
        for path in ["/predict", "/embed_sparse"]:
            found = self.assertStatus(server.post(path, {"inputs": "a"}), 424)
            self.assertEqual(found["error_type"], "Backend")

    def test_bad_requests(self):
        table = [
            ("/embed", "{", 400, "Validation"),
            ("/embed", "{}", 422, "Validation"),
            ("/embed", '{"inputs": []}', 400, "Empty"),
            ("/embed", '{"inputs": ""}', 400, "Empty"),
            ("/embed", '{"inputs": "a", "normalize": 1}', 422, "Validation"),
            ("/embed", '{"inputs": "a", "dimensions": 4000}', 422, "Validation"),
            ("/embed", '{"inputs": "a", "prompt_name": "x"}', 422, "Validation"),
            ("/embed", '{"inputs": "a", "truncation_direction": "up"}', 422, "Validation"),
            ("/rerank", '{"query": "q", "texts": []}', 400, "Empty"),
            ("/rerank", '{"query": "", "texts": ["a"]}', 400, "Empty"),
            ("/rerank", '{"query": "q", "texts": [1]}', 422, "Validation"),
            ("/tokenize", '{"inputs": 5}', 422, "Validation"),
            ("/vertex", '{"instances": []}', 400, "Empty"),
        ]
        for path, body, status, kind in table:
            with self.subTest(path=path, body=body):
                found = self.assertStatus(server.post(path, body), status)
                self.assertEqual(found["error_type"], kind)


class Rerank(Case):
    BODY = {"query": TEXTS[0], "documents": TEXTS}

    def order(self):
        return sorted(range(3), key=lambda i: -SCORES[i]), SCORES

    def test_superset(self):
        order, scores = self.order()
        for path in ["/rerank", "/v1/rerank", "/v2/rerank", "/cohere/v2/rerank", "/jina/v1/rerank", "/vllm/rerank"]:
            found = self.assertStatus(server.post(path, self.BODY), 200)
            self.assertEqual([r["index"] for r in found["results"]], order, path)
            self.assertClose([r["relevance_score"] for r in found["results"]], [scores[i] for i in order])
            self.assertIn("billed_units", found["meta"])
            self.assertIn("total_tokens", found["usage"])

    def test_top_n_and_documents(self):
        found = self.assertStatus(server.post("/v1/rerank", {**self.BODY, "top_n": 2, "return_documents": True}), 200)
        self.assertEqual(len(found["results"]), 2)
        self.assertEqual(found["results"][0]["document"], {"text": TEXTS[0]})
        found = self.assertStatus(server.post("/cohere/v1/rerank", self.BODY), 200)
        self.assertNotIn("document", found["results"][0])
        objects = {"query": "q", "documents": [{"text": "a"}, {"text": "b"}], "rank_fields": ["text"]}
        self.assertStatus(server.post("/v1/rerank", objects), 200)

    def test_voyage_and_infinity(self):
        for path, body in [("/voyage/v1/rerank", {}), ("/v1/rerank", {"top_k": 2}), ("/v1/rerank", {"truncation": True})]:
            found = self.assertStatus(server.post(path, {**self.BODY, **body}), 200)
            self.assertIn("data", found)
        found = self.assertStatus(server.post("/infinity/rerank", {**self.BODY, "return_documents": True}), 200)
        self.assertIsInstance(found["results"][0]["document"], str)

    def test_tei(self):
        order, scores = self.order()
        found = self.assertStatus(server.post("/rerank", {"query": TEXTS[0], "texts": TEXTS, "return_text": True}), 200)
        self.assertEqual([r["index"] for r in found], order)
        self.assertEqual(found[0]["text"], TEXTS[order[0]])
        self.assertIn("score", found[0])

    def test_score(self):
        found = self.assertStatus(server.post("/score", {"text_1": TEXTS[0], "text_2": TEXTS}), 200)
        self.assertClose([d["score"] for d in found["data"]], SCORES)
        found = self.assertStatus(server.post("/v1/score", {"queries": TEXTS, "documents": TEXTS}), 200)
        self.assertClose([found["data"][0]["score"]], [SCORES[0]])
        self.assertStatus(server.post("/score", {"queries": TEXTS[:2], "documents": TEXTS}), 400)
        self.assertStatus(server.post("/score", {"queries": TEXTS}), 400)


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
        found = self.assertStatus(server.post("/ollama/api/embeddings", {"model": "x", "prompt": TEXTS[0]}), 200)
        self.assertClose(found["embedding"], VECTORS[0])
        self.assertIsInstance(self.assertStatus(server.post("/api/embed", {"model": "x", "input": 5}), 400)["error"], str)
        self.assertEqual(self.assertStatus(server.post("/api/embed", {"model": "x"}), 200)["embeddings"], [])
        long = {"model": "x", "input": "word " * 5000}
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
        self.assertEqual(server.request("POST", "/embed", '{"inputs":"a"}', {"Content-Type": "image/png"}).status, 415)
        curl = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(server.request("POST", "/embed", '{"inputs":"a"}', curl).status, 200)
        self.assertEqual(server.request("POST", "/embed", '{"inputs":"a"}', {**curl, "Origin": "http://evil"}).status, 415)

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


class Operations(Case):
    def test_two_models_load_unload(self):
        other = DATA / "bert-cls"
        with Server(MODEL, other, flags=["--served-model-name", "one", "--served-model-name", "two"]) as two:
            expected = embed_command("a", model=other)[0]["embedding"]
            found = self.assertStatus(two.post("/v1/embeddings", {"model": "two", "input": "a"}), 200)
            self.assertClose(found["data"][0]["embedding"], expected)
            self.assertEqual(found["model"], "two")
            self.assertEqual(two.post("/v1/embeddings", {"model": "one", "input": "a"}).json["model"], "one")
            self.assertEqual(two.get("/info").json["model_type"], {"embedding": {"pooling": "mean"}})
            found = self.assertStatus(two.post("/v1/embeddings", {"model": "three", "input": "a"}), 404)
            self.assertEqual(found["error"]["code"], "model_not_found")
            self.assertStatus(two.post("/models/unload", {"model": "two"}), 200)
            states = {m["id"]: m["state"] for m in two.get("/v1/models").json["data"]}
            self.assertEqual(states, {"one": "ready", "two": "unloaded"})
            answer = two.post("/v1/embeddings", {"model": "two", "input": "a"})
            self.assertEqual(answer.status, 503)
            self.assertIn("Retry-After", answer.headers)
            self.assertEqual(two.get("/health").status, 200)  # the other one is in service meanwhile
            deadline = time.monotonic() + 30 * SLOW
            while two.post("/v1/embeddings", {"model": "two", "input": "a"}).status != 200:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    def test_who_names_no_model_gets_the_right_one(self):
        names = ["bert-classify", "bert-cls", "bert-cross-encoder"]
        if not all((DATA / name / "config.json").exists() for name in names):
            self.skipTest("not all models are here")
        with Server(*[DATA / name for name in names]) as three:
            pair = {"query": "a query", "texts": ["a document"]}
            self.assertEqual(three.post("/rerank", pair).json, three.post("/rerank", {**pair, "model": names[2]}).json)
            self.assertEqual(three.post("/v1/rerank", {"query": "a", "documents": ["b"]}).json["model"], names[2])
            self.assertEqual(three.post("/v1/embeddings", {"input": "a"}).json["model"], names[1])
            self.assertEqual(three.post("/classify", {"input": "a"}).json["model"], names[0])
            self.assertEqual(three.post("/", {"inputs": "a"}).json, three.post("/predict", {"inputs": "a"}).json)
            self.assertEqual(list(three.get("/info").json["model_type"]), ["classifier"])
            # It is the right one also while it is not loaded.
            self.assertStatus(three.post("/models/unload", {"model": names[2]}), 200)
            self.assertStatus(three.post("/rerank", pair), 503)

    def test_without_a_model_the_default_one(self):
        with tempfile.TemporaryDirectory() as cache:
            os.makedirs(os.path.join(cache, "wde"))
            os.symlink(MODEL, os.path.join(cache, "wde", "all-MiniLM-L6-v2"))
            default = Server(named=False, env={"XDG_CACHE_HOME": cache})
            self.assertEqual(default.get("/v1/models").json["data"][0]["id"], "all-MiniLM-L6-v2")
            log = default.log()
            self.assertIn(f"playground http://127.0.0.1:{default.port}/", log)
            lines = re.findall(r"curl http://[^/]+(\S+) -H 'content-type: application/json' -d '(.*)'\n", log)
            self.assertEqual([path for path, _ in lines], ["/v1/embeddings", "/embed", "/v1/rerank"])
            for path, body in lines:
                self.assertStatus(default.post(path, body), 200)
            default.stop()
        # Where it is not, it is asked of the Hub.
        with tempfile.TemporaryDirectory() as cache:
            alone = Server(named=False, wait=False, env={"XDG_CACHE_HOME": cache, "HF_HOME": cache, "HF_HUB_OFFLINE": "1"})
            self.assertEqual(alone.process.wait(timeout=30 * SLOW), 1)
            self.assertIn("sentence-transformers/all-MiniLM-L6-v2", alone.log())
            alone.stop(expect=1)

    def test_info_tells_how_vectors_are_pooled(self):
        with Server(DATA / "bert-cls") as one:
            self.assertEqual(one.get("/info").json["model_type"], {"embedding": {"pooling": "cls"}})
        with Server(flags=["--pooling", "lasttoken", "--max-batch-tokens", "77"]) as one:
            found = self.assertStatus(one.get("/info"), 200)
            self.assertEqual(found["model_type"], {"embedding": {"pooling": "last_token"}})
            self.assertEqual(found["max_batch_tokens"], 77)

    def test_keys(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("# comment\nfirst-key\n\nsecond-key\n")
            file.flush()
            with Server(flags=["--api-key-file", file.name]) as locked:
                self.assertEqual(locked.get("/health").status, 200)
                self.assertEqual(locked.get("/v1/models").status, 401)
                for headers in [{"Authorization": "Bearer first-key"}, {"Authorization": "second-key"},
                                {"X-API-Key": "first-key"}, {"api-key": "second-key"}]:
                    self.assertEqual(locked.post("/embed", {"inputs": "a"}, headers).status, 200, headers)
                for headers in [{}, {"Authorization": "Bearer first-ke"}, {"Authorization": "Bearer first-keyy"},
                                {"Authorization": "Bearer "}, {"X-API-Key": "# comment"}, {"Authorization": "Bearer"}]:
                    answer = locked.post("/embed", {"inputs": "a"}, headers)
                    self.assertEqual(answer.status, 401, headers)
                    self.assertIn("error", answer.json)

    def test_cors(self):
        with Server(flags=["--cors-allow-origin", "http://a.example"]) as open_server:
            answer = open_server.request("OPTIONS", "/embed", headers={"Origin": "http://a.example"})
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "http://a.example")
            self.assertIn("authorization", answer.headers["Access-Control-Allow-Headers"])
            # OpenAI's client in a browser has headers of its own.
            wanted = {"Origin": "http://a.example", "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os"}
            answer = open_server.request("OPTIONS", "/v1/embeddings", headers=wanted)
            self.assertEqual(answer.headers["Access-Control-Allow-Headers"], "authorization,content-type,x-stainless-os")
            wanted["Access-Control-Request-Headers"] = "a: b"
            answer = open_server.request("OPTIONS", "/v1/embeddings", headers=wanted)
            self.assertNotIn(":", answer.headers["Access-Control-Allow-Headers"])
            answer = open_server.get("/health", {"Origin": "http://b.example"})
            self.assertNotIn("Access-Control-Allow-Origin", answer.headers)

    def test_queue_full(self):
        with Server(flags=["--max-concurrent-requests", "2"]) as small:
            body = {"inputs": ["some words " * 300] * 200}
            answers = in_threads(8, lambda _: small.post("/embed", body))
            statuses = sorted(a.status for a in answers)
            self.assertEqual(set(statuses), {200, 429}, statuses)
            refused = next(a for a in answers if a.status == 429)
            self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
            self.assertEqual(refused.json["error_type"], "Overloaded")
            self.assertEqual(small.post("/embed", {"inputs": "a"}).status, 200)

    def test_drain_answers_what_was_taken(self):
        with Server() as leaving:
            body = {"inputs": ["some words " * 300] * 300}

            def ask(i):
                if i == 0:
                    time.sleep(0.3)
                    leaving.process.send_signal(signal.SIGTERM)
                    return None
                return leaving.post("/embed", body)

            answers = in_threads(4, ask)
            self.assertEqual([a.status for a in answers[1:]], [200, 200, 200])
            log = leaving.stop()
            self.assertIn("draining", log)
            self.assertIn("stopped", log)

    def test_second_signal_stops_at_once(self):
        leaving = Server(flags=["--set", "tokenizer=hf"])  # the slow one: the request must last longer than this test
        s = leaving.socket()
        body = b'{"inputs": [' + b",".join([b'"' + b"some words " * 300 + b'"'] * 2000) + b"]}"
        s.sendall(b"POST /embed HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.5)
        leaving.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertIsNone(leaving.process.poll())
        start = time.monotonic()
        leaving.stop(expect=1)
        self.assertLess(time.monotonic() - start, 5 * SLOW)
        s.close()

    def test_a_model_that_cannot_be_loaded_ends_the_server(self):
        with tempfile.TemporaryDirectory() as directory:
            broken = Server(MODEL, directory, wait=False)
            self.assertEqual(broken.process.wait(timeout=30 * SLOW), 1)
            self.assertIn("could not be loaded", broken.log())
            broken.stop(expect=1)

    def test_openapi_tells_of_routes_that_exist(self):
        paths = self.assertStatus(server.get("/openapi.json"), 200)["paths"]
        for path, methods in paths.items():
            for method in methods:
                path = path.replace("{model}", "bert-mean")
                answer = server.get(path) if method == "get" else server.post(path, {})
                self.assertNotIn(answer.status, (404, 405), path)
                self.assertIn(str(answer.status), methods[method]["responses"], path)

    def test_examples_of_the_api_are_answered(self):
        paths = self.assertStatus(server.get("/openapi.json"), 200)["paths"]
        examples = {}
        for path, methods in paths.items():
            if "post" in methods:
                media = methods["post"]["requestBody"]["content"]["application/json"]
                if "example" in media:
                    examples[path] = media["example"]
        self.assertGreater(len(examples), 12)
        for path, example in examples.items():
            answer = server.post(path, example)
            # This model makes embeddings and has no labels or sparse weights.
            expected = {"/embed_sparse": 424, "/predict": 424, "/token_classify": 424, "/classify": 400}.get(path, 200)
            self.assertEqual(answer.status, expected, (path, answer))

    def test_docs(self):
        page = server.get("/docs")
        self.assertEqual((page.status, page.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        # No script or style in the page itself is allowed, and nothing from elsewhere.
        policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
        self.assertEqual((policy["default-src"], policy["script-src"], policy["connect-src"]), ("'none'", "'self'", "'self'"))
        self.assertNotRegex(page.body.decode(), r"<script>|https?://")
        links = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
        self.assertEqual(len(links), 4)
        for path in links:
            plain = server.get(path, {"Accept-Encoding": "identity"})
            self.assertEqual((plain.status, plain.headers["Content-Encoding"]), (200, None), path)
            for accept in ["gzip, deflate, br", "br;q=1.0, GZIP;q=0.5", "*"]:
                answer = server.get(path, {"Accept-Encoding": accept})
                packed = answer.headers["Content-Encoding"] == "gzip"
                self.assertEqual(packed, "swagger-ui" in path, path)
                self.assertEqual(gzip.decompress(answer.body) if packed else answer.body, plain.body, path)
            for accept in ["gzip;q=0", "*, gzip;q=0.000", "br", ""]:
                self.assertEqual(server.get(path, {"Accept-Encoding": accept}).body, plain.body, (path, accept))
            if "swagger-ui" in path:
                self.assertEqual((answer.headers["Vary"], answer.headers["X-Content-Type-Options"]), ("Accept-Encoding", "nosniff"))
        script = server.get("/docs/swagger-ui-bundle.js").body
        self.assertIn(b"SwaggerUIBundle", script)
        self.assertIn("text/javascript", server.get("/docs/start.js").headers["Content-Type"])

    def test_unix_socket_and_json_log(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "s")
            with Server(flags=["--unix-socket", path, "--access-log", "json"]) as local:
                self.assertEqual(local.post("/embed", {"inputs": "secret words"}).status, 200)
                log = local.stop()
            self.assertIn('"path":"/embed"', log)
            self.assertNotIn("secret words", log)
            self.assertFalse(os.path.exists(path))

    def test_environment(self):
        with Server(env={"WDE_AUTO_TRUNCATE": "false"}) as strict:
            self.assertEqual(strict.post("/embed", {"inputs": "word " * 5000}).status, 422)
            found = self.assertStatus(strict.post("/v1/embeddings", {"input": "word " * 5000}), 400)
            self.assertIn("token", found["error"]["message"])


class OtherTasks(Case):
    """Models of other tasks, where the test data has them."""

    def serve(self, name):
        if not (DATA / name / "config.json").exists():
            self.skipTest(f"no model {name} here")
        return Server(DATA / name)

    def test_cross_encoder(self):
        with self.serve("bert-cross-encoder") as s:
            documents = ["a document", "another one", "third"]
            found = self.assertStatus(s.post("/v1/rerank", {"query": "a query", "documents": documents}), 200)
            scores = [r["relevance_score"] for r in found["results"]]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(all(0 <= x <= 1 for x in scores))
            raw = self.assertStatus(s.post("/rerank", {"query": "a query", "texts": documents, "raw_scores": True}), 200)
            tei = self.assertStatus(s.post("/rerank", {"query": "a query", "texts": documents}), 200)
            self.assertEqual([r["index"] for r in raw], [r["index"] for r in tei])
            self.assertClose([1 / (1 + math.exp(-r["score"])) for r in raw], [r["score"] for r in tei])
            found = self.assertStatus(s.post("/predict", {"inputs": ["a query", "a document"]}), 200)
            self.assertEqual(len(found), 1)
            self.assertStatus(s.post("/embed", {"inputs": "a"}), 424)
            self.assertEqual(list(s.get("/info").json["model_type"]), ["reranker"])

    def test_late_interaction(self):
        golden = json.loads((DATA / "colbert-stanford" / "golden.json").read_text())
        with self.serve("colbert-stanford") as s:
            self.assertEqual(s.get("/info").json["model_type"], {"multi_vector": {"dimensions": 16}})
            query = golden["pairs"][0][0]
            want = {document: score for q, document, score in golden["pairs"] if q == query}
            body = {"query": query, "documents": list(want)}
            for path in ["/v1/rerank", "/v2/rerank", "/vllm/rerank", "/jina/v1/rerank", "/cohere/v1/rerank"]:
                found = self.assertStatus(s.post(path, body), 200)["results"]
                self.assertClose([r["relevance_score"] for r in found], sorted(want.values(), reverse=True))
            for raw in [False, True]:
                tei = self.assertStatus(s.post("/rerank", {"query": query, "texts": list(want), "raw_scores": raw}), 200)
                self.assertClose([r["score"] for r in sorted(tei, key=lambda r: r["index"])], list(want.values()))
            found = self.assertStatus(s.post("/score", {"text_1": query, "text_2": list(want)}), 200)
            self.assertClose([r["score"] for r in found["data"]], list(want.values()))
            # The query once, the documents each.
            alone = [self.assertStatus(s.post("/score", {"text_1": query, "text_2": d}), 200)["usage"]["total_tokens"] for d in want]
            self.assertEqual(found["usage"]["total_tokens"], sum(alone))

            for body, rows in [({}, 6), ({"task": "token_embed"}, 6), ({"prompt_name": "document"}, 6), ({"input_type": "document"}, 6),
                               ({"prompt_name": "query"}, 32), ({"input_type": "query", "task": "multi_vector"}, 32)]:
                found = self.assertStatus(s.post("/pooling", {"input": "a, b c", **body}), 200)
                self.assertEqual([len(found["data"][0]["data"]), len(found["data"][0]["data"][0])], [rows, 16], body)
            self.assertStatus(s.post("/pooling", {"input": "a", "prompt_name": "no such"}), 400)
            self.assertStatus(s.post("/v1/embeddings", {"input": "a"}), 400)

    def test_three_kinds_from_one_pass(self):
        with self.serve("bge-m3") as s:
            found = self.assertStatus(s.post("/pooling", {"input": ["some words", "a"], "task": "all"}), 200)["data"]
            for task, kind in [("embed", "embedding"), ("sparse", "sparse"), ("multi_vector", "vectors")]:
                alone = self.assertStatus(s.post("/pooling", {"input": ["some words", "a"], "task": task}), 200)["data"]
                self.assertEqual([one["data"] for one in alone], [one["data"][kind] for one in found])
        self.assertStatus(server.post("/pooling", {"input": "a", "task": "all"}), 400)

    def test_classifier(self):
        with self.serve("bert-classify") as s:
            found = self.assertStatus(s.post("/predict", {"inputs": "some text"}), 200)
            self.assertEqual([p["score"] for p in found], sorted([p["score"] for p in found], reverse=True))
            self.assertIsInstance(found[0]["label"], str)
            batch = self.assertStatus(s.post("/predict", {"inputs": [["some text"], ["a", "b"]]}), 200)
            self.assertEqual(batch[0], found)
            vllm = self.assertStatus(s.post("/classify", {"input": ["some text"]}), 200)
            self.assertEqual(vllm["data"][0]["label"], found[0]["label"])
            self.assertEqual(vllm["data"][0]["num_classes"], len(found))
            infinity = self.assertStatus(s.post("/infinity/classify", {"input": ["some text"]}), 200)
            self.assertEqual({p["label"] for p in infinity["data"][0]}, {p["label"] for p in found})

    def test_entities(self):
        """As transformers' pipeline has them, which the Hub's clients expect of POST /."""
        golden = json.loads((DATA / "bert-ner-words" / "golden.json").read_text())
        wanted = json.loads((DATA / "bert-ner-words" / "entities.json").read_text())
        at = next(i for i, text in enumerate(golden["inputs"]) if "café" in text)
        text = golden["inputs"][at]
        with self.serve("bert-ner-words") as s:
            for strategy, lists in wanted.items():
                for path in ["/", "/token_classify"]:
                    body = {"inputs": text, "parameters": {"aggregation_strategy": strategy}}
                    found = self.assertStatus(s.post(path, body), 200)
                    self.assertGreater(len(found), 0)
                    name = "entity" if strategy == "none" else "entity_group"
                    self.assertEqual([(e[name], e["start"], e["end"]) for e in found], [(e["label"], e["start"], e["end"]) for e in lists[at]])
                    self.assertClose([e["score"] for e in found], [e["score"] for e in lists[at]])
                    self.assertEqual([e["word"] for e in found], [text[e["start"]:e["end"]] for e in found])
            batch = self.assertStatus(s.post("/", {"inputs": [text, "b"], "parameters": {"aggregation_strategy": "max"}}), 200)
            self.assertEqual([len(batch), batch[0]], [2, self.assertStatus(s.post("/", {"inputs": text, "parameters": {"aggregation_strategy": "max"}}), 200)])
            some, everything = [self.assertStatus(s.post("/", {"inputs": [t for t in golden["inputs"] if t], "parameters": {"aggregation_strategy": "none", **more}}), 200)
                                for more in [{}, {"ignore_labels": []}]]
            self.assertNotIn("O", {e["entity"] for one in some for e in one})
            self.assertIn("O", {e["entity"] for one in everything for e in one})
            for wrong in [{"aggregation_strategy": "best"}, {"stride": 5}, {"ignore_labels": "O"}, {"ignore_labels": [1]}]:
                self.assertStatus(s.post("/", {"inputs": text, "parameters": wrong}), 422)
            self.assertStatus(server.post("/token_classify", {"inputs": text}), 424)

    def test_sparse(self):
        with self.serve("bert-splade") as s:
            found = self.assertStatus(s.post("/embed_sparse", {"inputs": ["some text", "b"]}), 200)
            self.assertEqual(len(found), 2)
            self.assertTrue(all(item["value"] > 0 for item in found[0]))
            self.assertEqual([i["index"] for i in found[0]], sorted(i["index"] for i in found[0]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
