#!/usr/bin/env python3
"""text-embeddings-inference's API in one table: every route, good and bad, with the status and the shape of the body that its
documentation and its clients know. With and without /tei before the path.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import unittest

from serving import DATA, Server

NUMBER = float
NULL = type(None)
LONG = "word " * 5000


def error(kind):
    return {"error": str, "error_type": kind}


VALIDATION, EMPTY, BACKEND = error("Validation"), error("Empty"), error("Backend")
VECTORS = [[NUMBER]]
SPARSE = [[{"index": int, "value": NUMBER}]]
TOKENS = [[{"id": int, "text": str, "special": bool, "start": (int, NULL), "stop": (int, NULL)}]]
PREDICTION = [{"score": NUMBER, "label": str}]
RANKED = [{"index": int, "score": NUMBER}]
INFO = {"model_id": str, "model_sha": NULL, "model_dtype": "float32", "served_model_name": str, "model_type": dict,
        "max_concurrent_requests": 512, "max_input_length": int, "max_batch_tokens": int, "max_batch_requests": NULL,
        "max_client_batch_size": 2048, "auto_truncate": True, "tokenization_workers": int, "version": str, "sha": NULL, "docker_label": NULL}
OPENAI = {"object": "list", "data": [{"object": "embedding", "embedding": (list, str), "index": int}], "model": str,
          "usage": {"prompt_tokens": int, "total_tokens": int}}
# model, path, body (None: GET), status, shape of the answer
TABLE = [
    ("bert-mean", "/embed", {"inputs": "a text"}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": ["a", "b"], "normalize": False, "truncate": True, "truncation_direction": "Left"}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": ["a"], "truncate": None, "prompt_name": None, "dimensions": None}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": [5, 6, 7]}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": [[5, 6], "a"], "dimensions": 8, "prompt_name": "query"}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": LONG}, 200, VECTORS),
    ("bert-mean", "/embed", {"inputs": LONG, "truncate": False}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": ["a"] * 2049}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": "a", "dimensions": 0}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": "a", "dimensions": 49}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": "a", "prompt_name": "none"}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": "a", "truncation_direction": "up"}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": {"a": 1}}, 422, VALIDATION),
    ("bert-mean", "/embed", {}, 422, VALIDATION),
    ("bert-mean", "/embed", {"inputs": []}, 400, EMPTY),
    ("bert-mean", "/embed", {"inputs": ["a", ""]}, 400, EMPTY),
    ("bert-mean", "/embed", "{", 400, VALIDATION),
    ("bert-cross-encoder", "/embed", {"inputs": "a"}, 424, BACKEND),
    ("bert-mean", "/embed_all", {"inputs": ["a", "b c"]}, 200, [VECTORS]),
    ("bert-mean", "/embed_all", {"inputs": ""}, 400, EMPTY),
    ("bert-splade", "/embed_sparse", {"inputs": "a text"}, 200, SPARSE),
    ("bert-splade", "/embed_sparse", {"inputs": ["a", "b"], "truncate": True}, 200, SPARSE),
    ("bert-mean", "/embed_sparse", {"inputs": "a"}, 424, BACKEND),
    ("bert-splade", "/embed_sparse", {"inputs": 5}, 422, VALIDATION),
    ("bert-classify", "/predict", {"inputs": "a"}, 200, PREDICTION),
    ("bert-classify", "/predict", {"inputs": ["a", "a pair"], "raw_scores": True}, 200, PREDICTION),
    ("bert-classify", "/predict", {"inputs": [["a"], ["a", "pair"]]}, 200, [PREDICTION]),
    ("bert-cross-encoder", "/predict", {"inputs": ["a", "b"]}, 200, PREDICTION),
    ("bert-classify", "/predict", {"inputs": ["a", "b", "c"]}, 422, VALIDATION),
    ("bert-classify", "/predict", {"inputs": [["a", "b", "c"]]}, 422, VALIDATION),
    ("bert-classify", "/predict", {"inputs": ""}, 400, EMPTY),
    ("bert-mean", "/predict", {"inputs": "a"}, 424, BACKEND),
    ("bert-cross-encoder", "/rerank", {"query": "q", "texts": ["a", "b"]}, 200, RANKED),
    ("bert-cross-encoder", "/rerank", {"query": "q", "texts": ["a"], "raw_scores": True, "return_text": True}, 200,
     [{"index": int, "score": NUMBER, "text": str}]),
    ("bert-cross-encoder", "/rerank", {"query": "q", "texts": [LONG], "truncate": False}, 422, VALIDATION),
    ("bert-cross-encoder", "/rerank", {"query": "q", "texts": ["a"], "truncation_direction": 3}, 422, VALIDATION),
    ("bert-cross-encoder", "/rerank", {"query": "q", "texts": []}, 400, EMPTY),
    ("bert-cross-encoder", "/rerank", {"texts": ["a"]}, 422, VALIDATION),
    ("bert-classify", "/rerank", {"query": "q", "texts": ["a"]}, 424, BACKEND),
    ("bert-mean", "/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a", "b"]}}, 200, [NUMBER]),
    ("bert-mean", "/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {"truncate": True}}, 200, [NUMBER]),
    ("bert-mean", "/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, EMPTY),
    ("bert-mean", "/similarity", {"inputs": "a"}, 422, VALIDATION),
    ("bert-mean", "/tokenize", {"inputs": "a text"}, 200, TOKENS),
    ("bert-mean", "/tokenize", {"inputs": ["a"], "add_special_tokens": False, "prompt_name": "query"}, 200, TOKENS),
    ("bert-mean", "/tokenize", {"inputs": 5}, 422, VALIDATION),
    ("bert-mean", "/decode", {"ids": [5, 6]}, 200, [str]),
    ("bert-mean", "/decode", {"ids": [[5], [6]], "skip_special_tokens": False}, 200, [str]),
    ("bert-mean", "/decode", {"ids": [10**8]}, 422, VALIDATION),
    ("bert-mean", "/decode", {"ids": []}, 400, EMPTY),
    ("bert-mean", "/", {"inputs": "a"}, 200, VECTORS),
    ("bert-cross-encoder", "/", {"query": "q", "texts": ["a"]}, 200, RANKED),
    ("bert-mean", "/", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, 200, [NUMBER]),
    ("bert-mean", "/invocations", {"inputs": "a"}, 200, VECTORS),
    ("bert-mean", "/vertex", {"instances": [{"inputs": "a"}, {"inputs": ["b", "c"]}]}, 200, {"predictions": [VECTORS]}),
    ("bert-mean", "/vertex", {"instances": []}, 400, EMPTY),
    ("bert-mean", "/vertex", {"instances": 5}, 422, VALIDATION),
]
# Where TEI alone answers so: the plain paths are shared with others.
TEI_ALONE = [
    ("bert-mean", "/tei/info", None, 200, INFO),
    ("bert-mean", "/info", None, 200, {**INFO, "scheduler": "fair", "is_matryoshka": False, "matryoshka_dimensions": list}),
    ("bert-mean", "/tei/v1/embeddings", {"input": "a", "model": "any", "user": "u"}, 200, OPENAI),
    ("bert-mean", "/tei/embeddings", {"input": ["a", [5, 6]], "encoding_format": "base64", "dimensions": 8}, 200, OPENAI),
    ("bert-mean", "/tei/v1/embeddings", {"input": []}, 400, {"message": str, "code": 400, "type": "Empty"}),
    ("bert-mean", "/tei/v1/embeddings", {"input": "a", "dimensions": 0}, 422, {"message": str, "code": 422, "type": "Validation"}),
    ("bert-mean", "/tei/health", None, 200, b""),
    ("bert-mean", "/tei/ping", None, 200, b""),
    ("bert-mean", "/tei", None, 200, b""),
    ("bert-classify", "/tei", {"inputs": "a"}, 200, PREDICTION),  # without the prefix in the shape of the Hub's clients
    ("bert-mean", "/tei/nothing", {}, 404, VALIDATION),
]


def fits(shape, value):
    if isinstance(shape, list):
        return isinstance(value, list) and len(value) > 0 and all(fits(shape[0], item) for item in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and value.keys() == shape.keys() and all(fits(shape[key], value[key]) for key in shape)
    if isinstance(shape, tuple):
        return any(fits(one, value) for one in shape)
    if shape is NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return value == shape


class Tei(unittest.TestCase):
    def check(self, table, prefixes):
        for name in sorted({row[0] for row in table}):
            with Server(DATA / name) as server:
                for _, path, body, status, shape in [row for row in table if row[0] == name]:
                    for prefix in prefixes:
                        with self.subTest(model=name, path=prefix + path, body=str(body)[:80]):
                            answer = server.get(prefix + path) if body is None else server.post(prefix + path, body)
                            self.assertEqual(answer.status, status, answer)
                            found = answer.body if isinstance(shape, bytes) else answer.json
                            self.assertTrue(fits(shape, found), (shape, found))
                            if body is not None and status == 200:
                                for header in ("x-compute-type", "x-compute-time", "x-compute-characters", "x-compute-tokens", "x-total-time",
                                               "x-tokenization-time", "x-queue-time", "x-inference-time"):
                                    self.assertIn(header, answer.headers)

    def test_every_route(self):
        self.check(TABLE, ["", "/tei"])

    def test_what_only_tei_answers_so(self):
        self.check(TEI_ALONE, [""])

    def test_order_and_defaults(self):
        with Server(DATA / "bert-cross-encoder") as server:
            texts = ["a text", "another", "the third", "and one more"]
            ranked = server.post("/rerank", {"query": "a query", "texts": texts}).json
            scores = [r["score"] for r in ranked]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(all(0 < s < 1 for s in scores))  # raw_scores: false
            self.assertEqual(json.loads(server.post("/rerank", {"query": "a query", "texts": texts, "raw_scores": None}).body), ranked)
        with Server(DATA / "bert-classify") as server:
            labels = server.post("/predict", {"inputs": "a"}).json
            scores = [p["score"] for p in labels]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertLess(abs(sum(scores) - 1), 1e-5)  # softmax


if __name__ == "__main__":
    unittest.main(verbosity=2)
