#!/usr/bin/env python3
"""How vectors are asked for and written on routes with several ways: raw bytes and narrow numbers (vLLM), images (Infinity), and long
documents ranked by their best piece (Cohere).

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import base64
import json
import random
import struct
import unittest

from serving import DATA, MODEL, TEXTS, Case, Server, embed_command, pieces_of


def setUpModule():
    global server, VECTORS
    server = Server(MODEL, DATA / "clip", DATA / "bert-cross-encoder", DATA / "colbert-pylate-bert")
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]


def tearDownModule():
    server.stop()


class Bytes(Case):
    def test_bytes_and_what_the_header_says_of_them(self):
        for path in ["/v1/embeddings", "/pooling", "/vllm/v1/embeddings"]:
            answer = server.post(path, {"model": "bert-mean", "input": TEXTS, "encoding_format": "bytes"})
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/octet-stream"))
            metadata = json.loads(answer.headers["metadata"])
            self.assertEqual((metadata["model"], len(metadata["data"])), ("bert-mean", 3))
            self.assertGreater(metadata["usage"]["prompt_tokens"], 3)
            for i, (place, vector) in enumerate(zip(metadata["data"], VECTORS)):
                self.assertEqual(place, {"index": i, "embed_dtype": "float32", "endianness": "native", "start": i * 192,
                                         "end": i * 192 + 192, "shape": [48]})
                self.assertClose(struct.unpack("<48f", answer.body[place["start"]:place["end"]]), vector)

    def test_bytes_only(self):
        body = {"model": "bert-mean", "input": TEXTS, "encoding_format": "bytes_only"}
        answer = server.post("/v1/embeddings", {**body, "embed_dtype": "float16", "endianness": "big"})
        self.assertNotIn("metadata", answer.headers)
        self.assertEqual(answer.body, struct.pack(">144e", *sum(VECTORS, [])))
        answer = server.post("/v1/embeddings", {**body, "dimensions": 8})
        self.assertEqual(len(answer.body), 3 * 8 * 4)
        many = server.post("/v1/embeddings", {**body, "input": ["a"] * 129})
        self.assertEqual(len(many.body), 129 * 192)

    def test_rows_of_tokens(self):
        body = {"model": "bert-mean", "input": "a first text", "task": "token_embed"}
        rows = self.assertStatus(server.post("/pooling", body), 200)["data"][0]["data"]
        answer = server.post("/pooling", {**body, "encoding_format": "bytes", "embed_dtype": "float16"})
        self.assertEqual(json.loads(answer.headers["metadata"])["data"][0]["shape"], [len(rows), 48])
        self.assertEqual(answer.body, struct.pack(f"<{len(rows) * 48}e", *sum(rows, [])))

    def test_base64_of_narrow_numbers(self):
        body = {"model": "bert-mean", "input": TEXTS[0], "encoding_format": "base64"}
        found = self.assertStatus(server.post("/v1/embeddings", {**body, "embed_dtype": "float16"}), 200)
        self.assertEqual(base64.b64decode(found["data"][0]["embedding"]), struct.pack("<48e", *VECTORS[0]))
        found = self.assertStatus(server.post("/v1/embeddings", {**body, "embed_dtype": "bfloat16", "endianness": "big"}), 200)
        halves = base64.b64decode(found["data"][0]["embedding"])
        widened = [struct.unpack(">f", halves[i:i + 2] + b"\0\0")[0] for i in range(0, 96, 2)]
        self.assertClose(widened, VECTORS[0], 0.004)
        found = self.assertStatus(server.post("/v1/embeddings", {**body, "embed_dtype": "fp8_e4m3"}), 200)
        self.assertEqual(len(base64.b64decode(found["data"][0]["embedding"])), 48)
        found = self.assertStatus(server.post("/v1/embeddings", body), 200)
        self.assertEqual(base64.b64decode(found["data"][0]["embedding"]), struct.pack("<48f", *VECTORS[0]))

    def test_refusals(self):
        for extra, word in [
            ({"embed_dtype": "float16"}, "embed_dtype"),
            ({"endianness": "big"}, "endianness"),
            ({"encoding_format": "bytes", "embed_dtype": "int4"}, "embed_dtype"),
            ({"encoding_format": "bytes", "output_dtype": "int8"}, "output_dtype"),
            ({"encoding_format": "bytes", "input": ["a"] * 129}, "bytes_only"),
        ]:
            found = self.assertStatus(server.post("/v1/embeddings", {"model": "bert-mean", "input": "a", **extra}), 400)
            self.assertIn(word, found["error"]["message"])


class Images(Case):
    def test_infinitys_routes(self):
        image = base64.b64encode((DATA.parent / "images" / "rgb.png").read_bytes()).decode()
        expected = self.assertStatus(
            server.post("/infinity/embeddings", {"model": "clip", "input": [image], "modality": "image"}), 200)["data"]
        for path in ["/infinity/embeddings_image", "/embeddings_image"]:
            for given in [image, [image, "data:image/png;base64," + image]]:
                found = self.assertStatus(server.post(path, {"model": "clip", "input": given}), 200)["data"]
                self.assertEqual(found[-1]["embedding"], expected[0]["embedding"])
        for body, word in [({"input": "a text"}, "base64"), ({"input": "http://a/b.png"}, "address"),
                           ({"input": image, "modality": "text"}, "modality")]:
            found = self.assertStatus(server.post("/infinity/embeddings_image", {"model": "clip", **body}), 400)
            self.assertIn(word, found["error"]["message"])
        found = self.assertStatus(server.post("/infinity/embeddings_audio", {"model": "clip", "input": image}), 400)
        self.assertIn("audio", found["error"]["message"])


class Messages(Case):
    """vLLM's `messages`: contents one after the other for CLIP, which has no chat template; refused where one would be needed."""

    def test_images_and_texts(self):
        image = "data:image/png;base64," + base64.b64encode((DATA.parent / "images" / "rgb.png").read_bytes()).decode()
        for content, given in [("a cat", "a cat"), ([{"type": "text", "text": "a cat"}], "a cat"),
                               ([{"type": "image_url", "image_url": {"url": image}}], image)]:
            expected = self.assertStatus(server.post("/v1/embeddings", {"model": "clip", "input": given}), 200)["data"]
            for path in ["/v1/embeddings", "/vllm/v1/embeddings"]:
                body = {"model": "clip", "messages": [{"role": "user", "content": content}]}
                found = self.assertStatus(server.post(path, body), 200)["data"]
                self.assertEqual((len(found), found[0]["embedding"]), (1, expected[0]["embedding"]))
        two = [{"role": "user", "content": "a "}, {"role": "user", "content": "cat"}]
        found = self.assertStatus(server.post("/v1/embeddings", {"model": "clip", "messages": two}), 200)["data"]
        expected = self.assertStatus(server.post("/v1/embeddings", {"model": "clip", "input": "a cat"}), 200)["data"]
        self.assertEqual(found[0]["embedding"], expected[0]["embedding"])

    def test_refusals(self):
        messages = [{"role": "user", "content": "a"}]
        for body, word in [
            ({"model": "bert-mean", "messages": messages}, "chat template"),
            ({"model": "clip", "messages": messages, "input": "a"}, "input"),
            ({"model": "clip", "messages": messages, "chat_template": "{{ messages }}"}, "chat_template"),
            ({"model": "clip", "messages": messages, "add_generation_prompt": True}, "add_generation_prompt"),
            ({"model": "clip", "messages": []}, "messages"),
            ({"model": "clip", "messages": [{"role": "user", "content": [{"type": "audio_url"}]}]}, "audio_url"),
            ({"model": "clip", "messages": [{"role": "user"}]}, "content"),
        ]:
            for path in ["/v1/embeddings", "/pooling"]:
                found = self.assertStatus(server.post(path, body), 400)
                self.assertIn(word, found["error"]["message"])


class Pieces(Case):
    """A document's score is that of its best piece."""

    def scores(self, documents, model="bert-cross-encoder", path="/v1/rerank", **extra):
        body = {"model": model, "query": "a cat", "documents": documents, "return_documents": False, **extra}
        found = self.assertStatus(server.post(path, body), 200)["results"]
        return [row["relevance_score"] for row in sorted(found, key=lambda row: row["index"])]

    @staticmethod
    def long_text(words, seed=7):
        random_ = random.Random(seed)
        known = "the cat sat on a mat and another dog ran away from it while no one was there".split()
        return " ".join(random_.choice(known) for _ in range(words))

    def tokens(self, text, model="bert-cross-encoder"):
        found = self.assertStatus(server.post("/tokenize", {"model": model, "inputs": text}), 200)[0]
        return sum(not token["special"] for token in found)

    def test_short_documents_are_what_they_were(self):
        documents = ["the cat sat", "a dog"]
        for extra in [{"max_chunks_per_doc": 10}, {"max_tokens_per_doc": 4096}]:
            self.assertEqual(self.scores(documents, **extra), self.scores(documents))

    def test_max_tokens_per_doc_cuts(self):
        words = self.long_text(30).split()
        sizes = [self.tokens(word) for word in words]
        cut = words[:10]
        self.assertEqual(self.scores([" ".join(words)], max_tokens_per_doc=sum(sizes[:10])), self.scores([" ".join(cut)]))
        self.assertNotEqual(self.scores([" ".join(words)]), self.scores([" ".join(cut)]))

    def test_the_best_piece_decides(self):
        info = {m["id"]: m for m in self.assertStatus(server.get("/v1/models"), 200)["data"]}
        most = info["bert-cross-encoder"]["max_model_len"]
        text = self.long_text(3 * most)
        sizes = {word: self.tokens(word) for word in set(text.split())}
        room = most - 3 - self.tokens("a cat")
        pieces = pieces_of(text, room, sizes)
        self.assertGreater(len(pieces), 2)
        each = self.scores(pieces)
        for path in ["/v1/rerank", "/v2/rerank", "/rerank", "/cohere/v1/rerank", "/jina/v1/rerank"]:
            self.assertEqual(self.scores([text, "a dog"], path=path, max_chunks_per_doc=100), [max(each), self.scores(["a dog"])[0]])
        for count in [1, 2]:
            self.assertEqual(self.scores([text], max_chunks_per_doc=count), [max(each[:count])])
        total = sum(sizes[word] for word in text.split())
        self.assertEqual(self.scores([text], max_tokens_per_doc=total), [max(each)])
        self.assertEqual(self.scores([text], max_tokens_per_doc=total, max_chunks_per_doc=2), [max(each[:2])])
        # Without either, its beginning alone.
        self.assertEqual(self.scores([text]), self.scores([text + " and more"]))

    def test_late_interaction_reads_as_much_as_fits_beside_its_marker(self):
        model = "colbert-pylate-bert"
        info = {m["id"]: m for m in self.assertStatus(server.get("/v1/models"), 200)["data"]}
        text = self.long_text(700)
        sizes = {word: self.tokens(word, model) for word in set(text.split())}
        # A document without its words: marker and special tokens, which stay whatever the query is.
        body = {"model": model, "input": "the", "task": "multi_vector", "input_type": "document"}
        around = self.assertStatus(server.post("/pooling", body), 200)["usage"]["total_tokens"] - sizes["the"]
        pieces = pieces_of(text, info[model]["max_model_len"] - around, sizes)
        self.assertGreater(len(pieces), 2)
        each = self.scores(pieces, model)
        self.assertEqual(self.scores([text], model, max_chunks_per_doc=100), [max(each)])
        self.assertEqual(self.scores([text], model, max_chunks_per_doc=2), [max(each[:2])])

    def test_vertex_has_no_pieces(self):
        body = {"instances": [{"model": "bert-cross-encoder", "query": "a", "texts": ["b"], "max_chunks_per_doc": 2}]}
        found = self.assertStatus(server.post("/vertex", body), 422)
        self.assertIn("max_chunks_per_doc", found["error"])

    def test_embedders_and_late_interaction(self):
        for model in ["bert-mean", "colbert-pylate-bert"]:
            text = self.long_text(1500)
            whole = self.scores([text], model, max_chunks_per_doc=1000)[0]
            first = self.scores([text], model, max_chunks_per_doc=1)[0]
            self.assertGreaterEqual(whole, first)
            # What is read is what comes first, a piece more each time.
            steps = [self.scores([text], model, max_chunks_per_doc=n)[0] for n in [1, 2, 3, 1000]]
            self.assertEqual(steps, sorted(steps))
            self.assertNotEqual(whole, self.scores([text], model)[0])
            self.assertEqual(self.scores(["a dog"], model, max_chunks_per_doc=5), self.scores(["a dog"], model))

    def test_a_query_that_fills_the_model(self):
        body = {"model": "bert-cross-encoder", "query": self.long_text(2000), "documents": ["a"], "max_chunks_per_doc": 2}
        found = self.assertStatus(server.post("/v1/rerank", body), 400)
        self.assertEqual(found["error"]["code"], "context_length_exceeded")
        self.assertIn("query", found["error"]["message"])

    def test_numbers_that_cannot_be(self):
        for extra in [{"max_chunks_per_doc": -1}, {"max_tokens_per_doc": "many"}]:
            body = {"model": "bert-cross-encoder", "query": "a", "documents": ["a"], **extra}
            self.assertStatus(server.post("/v1/rerank", body), 400)


if __name__ == "__main__":
    unittest.main()
