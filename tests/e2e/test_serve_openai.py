#!/usr/bin/env python3
"""OpenAI's routes of `wde serve`, good and bad: the status and the shape that its clients expect, and numbers equal to those of
the command line.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import base64
import math
import struct
import unittest

from serving import TEXTS, Case, Server, cosine, embed_command, unit


def setUpModule():
    global server, VECTORS
    server = Server()
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]


def tearDownModule():
    server.stop()


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

    def test_voyage_formats_in_base64(self):
        """Bytes of numpy's int8 and uint8, which Voyage's client asks for on its own."""
        body = {"input": [TEXTS[0]]}
        for dtype, letter in [("int8", "b"), ("uint8", "B"), ("binary", "b"), ("ubinary", "B")]:
            for path in ["/voyage/v1/embeddings", "/v1/embeddings"]:
                ask = lambda **more: self.assertStatus(server.post(path, {**body, "output_dtype": dtype, **more}), 200)["data"][0]["embedding"]
                wanted = ask()
                self.assertEqual(list(struct.unpack(f"<{len(wanted)}{letter}", base64.b64decode(ask(encoding_format="base64")))), wanted)
            # Jina has no encoding_format, OpenAI's client sends base64 of its own accord.
            found = self.assertStatus(server.post("/v1/embeddings", {**body, "embedding_type": dtype, "encoding_format": "base64"}), 200)
            self.assertEqual(found["data"][0]["embedding"], wanted)
        for more, word in [
            ({"output_dtype": "int8", "embedding_type": "binary"}, "embedding_type"),
            ({"output_dtype": "int8", "encoding_format": "base64", "embed_dtype": "float16"}, "output_dtype"),
        ]:
            self.assertIn(word, self.assertStatus(server.post("/v1/embeddings", {**body, **more}), 400)["error"]["message"])

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
