#!/usr/bin/env python3
"""Late interaction over HTTP where documents have a limit of their own, below the model's, or a marker that is text: which tokens are the
text's, and how long documents are ranked by their pieces.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import random
import unittest

from serving import DATA, Case, Server, pieces_of

# Model, and tokens that a document may have.
MODELS = [("colbert-stanford", 40), ("colbert-multi-vector-encoder", 40), ("colbert-pylate-plain", 40), ("colbert-pylate-bert", 40)]


def setUpModule():
    global server
    server = Server(*(DATA / name for name, _ in MODELS))


def tearDownModule():
    server.stop()


def long_text(words):
    random_ = random.Random(5)
    known = "the cat sat on a mat and another dog ran away from it while no one was there".split()
    return " ".join(random_.choice(known) for _ in range(words))


class Tokens(Case):
    def tokenize(self, model, text, **extra):
        return self.assertStatus(server.post("/tokenize", {"model": model, "inputs": text, **extra}), 200)[0]

    def places(self, *arguments, **extra):
        return [(token["text"], token["start"], token["stop"]) for token in self.tokenize(*arguments, **extra) if not token["special"]]

    def test_a_marker_is_not_the_texts(self):
        for model, _ in MODELS:
            self.assertEqual(self.places(model, "a cat"), [("a", 0, 1), ("c", 2, 3), ("at", 3, 5)], model)
            self.assertEqual(self.places(model, "a cat", prompt="the "), [("the", 0, 3), ("a", 4, 5), ("c", 6, 7), ("at", 7, 9)], model)
            self.assertEqual(self.places(model, "é, the")[-1], ("the", 3, 6), model)

    def test_a_marker_that_is_text_is_special(self):
        plain = self.tokenize("colbert-pylate-plain", "a cat")
        marker = [token for token in plain if token["special"]][1:-1]
        self.assertEqual("".join(token["text"].removeprefix("##") for token in marker), "passage:")
        self.assertEqual({(token["start"], token["stop"]) for token in marker}, {(None, None)})
        self.assertEqual(len(self.tokenize("colbert-pylate-plain", "a cat", add_special_tokens=False)), 3)

    def test_vllms_shape(self):
        body = {"model": "colbert-pylate-plain", "prompt": "a cat", "add_special_tokens": False}
        found = self.assertStatus(server.post("/tokenize", body), 200)
        self.assertEqual((found["count"], found["token_strs"]), (3, ["a", "c", "##at"]))


class Pieces(Case):
    def scores(self, model, documents, **extra):
        body = {"model": model, "query": "a cat", "documents": documents, "return_documents": False, **extra}
        answer = server.post("/v1/rerank", body)
        self.assertIsNone(answer.headers["x-truncated-inputs"])  # no piece is longer than a document may be
        found = self.assertStatus(answer, 200)["results"]
        return [row["relevance_score"] for row in sorted(found, key=lambda row: row["index"])]

    def sizes(self, model, text):
        words = sorted(set(text.split()))
        found = self.assertStatus(server.post("/tokenize", {"model": model, "inputs": words, "add_special_tokens": False}), 200)
        return {word: len(tokens) for word, tokens in zip(words, found, strict=True)}

    def around(self, model):
        """Tokens of a document that are not its text's: special ones, the marker, the model's prompt for documents."""
        body = {"model": model, "input": "the", "task": "multi_vector", "input_type": "document"}
        total = self.assertStatus(server.post("/pooling", body), 200)["usage"]["total_tokens"]
        return total - self.sizes(model, "the")["the"]

    def pieces(self, model, text, room):
        return pieces_of(text, room, self.sizes(model, text))

    def test_pieces_are_as_long_as_a_document_may_be(self):
        text = long_text(300)
        for model, limit in MODELS:
            room = limit - self.around(model)
            pieces = self.pieces(model, text, room)
            self.assertGreater(len(pieces), 7, model)
            whole = server.post("/v1/rerank", {"model": model, "query": "a cat", "documents": [text]})
            self.assertEqual((whole.status, whole.headers["x-truncated-inputs"]), (200, "1"), model)
            each = self.scores(model, pieces)
            for count in [1, 2, 5, 100]:
                self.assertEqual(self.scores(model, [text], max_chunks_per_doc=count), [max(each[:count])], (model, count))

    def test_all_words_count(self):
        """Whatever word a document ends with is read: alone in the last piece, it decides."""
        for model, limit in MODELS:
            room = limit - self.around(model)
            words = ["the"] * (3 * room) + ["cat"]
            sizes = self.sizes(model, "the cat")
            self.assertEqual(sizes["the"], 1)
            pieces = [" ".join(["the"] * room)] * 3 + ["cat"]
            self.assertEqual(self.scores(model, [" ".join(words)], max_chunks_per_doc=9), [max(self.scores(model, pieces))], model)

    def test_tokens_of_a_document_are_its_texts(self):
        words = long_text(30).split()
        for model, _ in MODELS:
            sizes = self.sizes(model, " ".join(words))
            tokens = sum(sizes[word] for word in words[:10])
            cut = self.scores(model, [" ".join(words[:10])])
            self.assertEqual(self.scores(model, [" ".join(words)], max_tokens_per_doc=tokens), cut, model)

    def test_a_limit_of_the_request(self):
        """truncate_prompt_tokens below the model's own: pieces fit into that."""
        text = long_text(60)
        for model, _ in MODELS:
            pieces = self.pieces(model, text, 20 - self.around(model))
            self.assertGreater(len(pieces), 3, model)
            best = [max(self.scores(model, pieces, truncate_prompt_tokens=20))]
            self.assertEqual(self.scores(model, [text], max_chunks_per_doc=99, truncate_prompt_tokens=20), best, model)


if __name__ == "__main__":
    unittest.main()
