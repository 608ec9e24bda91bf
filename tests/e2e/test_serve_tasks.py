#!/usr/bin/env python3
"""`wde serve` with models of other tasks than embeddings.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import math
import unittest

from serving import DATA, Case, Server


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.stop()


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
            tokens = self.assertStatus(s.post("/pooling", {"input": query, "prompt_name": "query"}), 200)["usage"]["total_tokens"]
            self.assertEqual(tokens, 32)
            self.assertEqual(found["usage"]["total_tokens"], sum(alone) - tokens * (len(want) - 1))

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
