#!/usr/bin/env python3
"""The routes of `wde serve` that rank and score documents, in every dialect: the scores are those of the command line's vectors.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import unittest

from serving import MODEL, TEXTS, Case, Server, cosine, embed_command


def setUpModule():
    global server, SCORES
    server = Server()
    # As a model with prompts sees a query and documents.
    query = embed_command(TEXTS[0], flags=["--prompt-name", "query"])[0]["embedding"]
    prompts = json.loads((MODEL / "config_sentence_transformers.json").read_text())["prompts"]
    prompt = next((["--prompt-name", name] for name in ["document", "passage"] if name in prompts), [])
    SCORES = [cosine(query, row["embedding"]) for row in embed_command(*TEXTS, flags=prompt)]


def tearDownModule():
    server.stop()


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
        order, _ = self.order()
        for path, body, name, count in [("/voyage/v1/rerank", {}, "data", 3), ("/voyage/v1/rerank", {"top_k": 2}, "data", 2),
                                        ("/voyage/v1/rerank", {"top_k": 2, "top_n": 1}, "data", 2),
                                        ("/v1/rerank", {"top_k": 2}, "results", 2), ("/v1/rerank", {"truncation": True}, "results", 3),
                                        ("/v1/rerank", {"top_k": 1, "top_n": 2}, "results", 2), ("/v2/rerank", {"top_k": 1}, "results", 1)]:
            found = self.assertStatus(server.post(path, {**self.BODY, **body}), 200)
            self.assertEqual([r["index"] for r in found[name]], order[:count], (path, body))
            self.assertEqual({"data", "results"} & set(found), {name})
        found = self.assertStatus(server.post("/rerank", {"query": TEXTS[0], "texts": TEXTS, "top_n": 2}), 200)
        self.assertEqual([r["index"] for r in found], order[:2])
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
