#!/usr/bin/env python3
"""What text-embeddings-inference's routes of `wde serve` answer: numbers equal to those of the command line, tokens, headers.
test_serve_tei.py has the statuses and shapes of all of them.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import unittest

from serving import TEXTS, Case, Server, cosine, embed_command, unit


def setUpModule():
    global server, VECTORS
    server = Server()
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]


def tearDownModule():
    server.stop()


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
            self.assertEqual(token["text"], text[token["start"] : token["stop"]])
        self.assertIsNone(tokens[0]["start"])
        # text-embeddings-inference itself counts bytes.
        bytes_ = self.assertStatus(server.post("/tei/tokenize", {"inputs": text}), 200)[0]
        self.assertEqual([t["text"] for t in bytes_ if not t["special"]], [text.encode()[t["start"] : t["stop"]].decode() for t in bytes_ if not t["special"]])
        self.assertEqual([inner[-1]["stop"], [t for t in bytes_ if not t["special"]][-1]["stop"]], [13, 14])
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
