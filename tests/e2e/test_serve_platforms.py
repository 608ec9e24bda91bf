#!/usr/bin/env python3
"""What products send to the server by themselves, as they send it: Azure OpenAI's clients, Weaviate's modules, KServe; and proxies
that serve it under a path.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import re
import struct
import subprocess
import unittest

from serving import BINARY, DATA, MODEL, TEXTS, Case, Server, embed_command, unit


def setUpModule():
    global server, VECTORS
    models = [MODEL, DATA / "bert-cls", DATA / "bert-cross-encoder", DATA / "bert-classify", DATA / "bert-ner"]
    server = Server(*models, flags=["--api-key", "secret"])
    VECTORS = [row["embedding"] for row in embed_command(*TEXTS)]


def tearDownModule():
    server.stop()


KEY = {"api-key": "secret"}
BEARER = {"Authorization": "Bearer secret"}


class Azure(Case):
    """openai.AzureOpenAI: the deployment is the model, and the key has a header of its own."""

    def test_deployment(self):
        body = {"input": TEXTS, "model": "bert-mean", "encoding_format": "float"}
        path = "/openai/deployments/bert-mean/embeddings?api-version=2024-10-21"
        found = self.assertStatus(server.post(path, body, KEY), 200)
        self.assertEqual(found["model"], "bert-mean")
        for item, vector in zip(found["data"], VECTORS):
            self.assertClose(item["embedding"], vector)
        # The path decides, not the body.
        found = self.assertStatus(server.post("/openai/deployments/bert-cls/embeddings", body, KEY), 200)
        self.assertEqual(found["model"], "bert-cls")
        expected = embed_command(TEXTS[0], model=DATA / "bert-cls")[0]["embedding"]
        self.assertClose(found["data"][0]["embedding"], expected)

    def test_its_v1_api(self):
        found = self.assertStatus(server.post("/openai/v1/embeddings?api-version=preview", {"input": TEXTS}, KEY), 200)
        self.assertClose(found["data"][2]["embedding"], VECTORS[2])

    def test_refusals(self):
        path = "/openai/deployments/bert-mean/embeddings"
        self.assertStatus(server.post(path, {"input": "a"}, {"api-key": "other"}), 401)
        found = self.assertStatus(server.post("/openai/deployments/none/embeddings", {"input": "a"}, KEY), 404)
        self.assertIn("none", found["error"]["message"])
        self.assertEqual(found["error"]["code"], "model_not_found")
        for path in ["/openai/deployments//embeddings", "/openai/deployments/embeddings", "/openai/deployments/bert-mean",
                     "/openai/deployments/bert-mean/chat/completions", "/deployments/bert-mean/embeddings"]:
            self.assertStatus(server.post(path, {"input": "a"}, KEY), 404)


class Hub(Case):
    """Hugging Face's InferenceClient, whose text_classification() looks for a text's labels within a list of texts."""

    def test_labels_of_a_text(self):
        body = {"model": "bert-classify", "inputs": TEXTS[0]}
        labels = self.assertStatus(server.post("/predict", body, BEARER), 200)
        self.assertGreater(len(labels), 1)
        for more in [{}, {"parameters": {}}]:
            self.assertEqual(self.assertStatus(server.post("/", {**body, **more}, BEARER), 200), [labels])
        for path in ["/tei/", "/invocations"]:  # TEI's shape
            self.assertEqual(self.assertStatus(server.post(path, body, BEARER), 200), labels)
        batch = {"model": "bert-classify", "inputs": [[TEXTS[0]], [TEXTS[1]]]}
        found = self.assertStatus(server.post("/", batch, BEARER), 200)
        self.assertEqual((len(found), found[0]), (2, labels))
        found = self.assertStatus(server.post("/", {"model": "bert-mean", "inputs": TEXTS}, BEARER), 200)
        self.assertEqual(found, self.assertStatus(server.post("/embed", {"model": "bert-mean", "inputs": TEXTS}, BEARER), 200))


class Weaviate(Case):
    """The bodies that modules/text2vec-transformers and modules/reranker-transformers of Weaviate send, byte for byte but for the
    texts: http.NewRequest sets no Content-Type, and a vector's request has the answer's members, empty. Its modules send no key."""

    @classmethod
    def setUpClass(cls):
        cls.open = Server(DATA / "bert-cls", DATA / "bert-cross-encoder")

    @classmethod
    def tearDownClass(cls):
        cls.open.stop()

    @staticmethod
    def send(server, path, body):
        return server.request("POST", "/weaviate" + path, json.dumps(body))

    @staticmethod
    def single(text, **config):
        return {"text": text, "dims": 0, "vector": None, "error": "", "config": config}

    def test_start(self):
        for path in ["/.well-known/ready", "/.well-known/live"]:
            answer = self.open.get("/weaviate" + path)
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertStatus(server.get("/weaviate" + path), 204)  # a probe needs no key
            self.assertStatus(self.open.get(path), 404)
        self.assertEqual(self.assertStatus(self.open.get("/weaviate/meta"), 200)["id"], "bert-cls")
        self.assertStatus(server.get("/weaviate/meta"), 401)
        self.assertStatus(self.open.request("POST", "/weaviate/meta", "{}"), 405)

    def test_vectors(self):
        def embed(text):
            return unit(embed_command(text, model=DATA / "bert-cls")[0]["embedding"])

        expected = embed("passage: " + TEXTS[0])
        for path in ["/vectors", "/vectors/"]:
            found = self.assertStatus(
                self.send(self.open, path, self.single(TEXTS[0], pooling_strategy="masked_mean", task_type="passage")), 200)
            self.assertEqual((found["text"], found["dims"]), (TEXTS[0], len(expected)))
            self.assertClose(found["vector"], expected)
        answer = self.send(self.open, "/vectors", self.single(TEXTS[0], task_type="passage", colour="red"))
        self.assertEqual(answer.headers.get_all("x-warning"), ["without effect here: config.colour"])
        found = self.assertStatus(self.send(self.open, "/vectors", {"texts": TEXTS, "config": {"task_type": "passage"}}), 200)
        self.assertEqual((len(found["vectors"]), found["dims"]), (3, len(expected)))
        self.assertClose(found["vectors"][0], expected)
        expected = embed(TEXTS[0])
        found = self.assertStatus(self.send(self.open, "/vectors", self.single(TEXTS[0], pooling_strategy="cls")), 200)
        self.assertClose(found["vector"], expected)
        found = self.assertStatus(self.send(self.open, "/vectors", self.single(TEXTS[0], dimensions=16)), 200)
        self.assertClose(found["vector"], unit(expected[:16]))

    def test_task_type_chooses_the_prompt(self):
        seen = []
        for side in ["query", "passage"]:
            found = self.assertStatus(self.send(self.open, "/vectors", self.single("a text", task_type=side)), 200)
            body = {"inputs": "a text", "prompt_name": side}
            seen.append(found["vector"])
            self.assertClose(found["vector"], self.assertStatus(self.open.post("/embed", body), 200)[0])
        self.assertGreater(max(abs(a - b) for a, b in zip(*seen)), 1e-3)

    def test_rerank(self):
        documents = ["the cat sat", "a dog ran away", "nothing of the kind"]
        found = self.assertStatus(
            self.send(self.open, "/rerank", {"query": "a cat", "documents": documents, "property": ""}), 200)
        self.assertEqual((found["query"], found["property"]), ("a cat", ""))
        self.assertEqual([s["document"] for s in found["scores"]], documents)
        expected = self.assertStatus(self.open.post("/score", {"model": "bert-cross-encoder", "text_1": "a cat",
                                                               "text_2": documents}), 200)["data"]
        self.assertClose([s["score"] for s in found["scores"]], [e["score"] for e in expected])
        self.assertNotEqual(found["scores"][0]["score"], found["scores"][1]["score"])
        one = self.assertStatus(self.send(self.open, "/rerank", {"query": "a cat", "property": documents[1]}), 200)
        self.assertEqual((one["score"], one["property"]), (found["scores"][1]["score"], documents[1]))

    def test_errors_have_one_member(self):
        for path, body, word in [
            ("/vectors", self.single("a", pooling_strategy="mean"), "config.pooling_strategy"),
            ("/vectors", self.single("a", task_type="other"), "config.task_type"),
            ("/vectors", self.single("a", dimensions=100000), "config.dimensions"),
            ("/vectors", self.single(""), "text"),
            ("/vectors", {"texts": []}, "texts"),
            ("/rerank", {"query": "a"}, "property"),
            ("/rerank", {"query": "a", "documents": [1]}, "documents[0]"),
        ]:
            found = self.assertStatus(self.send(self.open, path, body), 400)
            self.assertEqual(list(found), ["error"])
            self.assertIn(word, found["error"])
        # What a model of another pooling is asked for by name is refused; Weaviate's own default is not.
        for pooling, status in [("cls", 400), ("masked_mean", 200)]:
            answer = server.request("POST", "/weaviate/vectors", json.dumps(self.single("a", pooling_strategy=pooling)), BEARER)
            self.assertStatus(answer, status)
        found = self.assertStatus(server.request("POST", "/weaviate/vectors", json.dumps(self.single("a"))), 401)
        self.assertEqual(list(found), ["error"])


def tensor(name, texts):
    return {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": texts}


def packed(texts):
    return b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)


class Kserve(Case):
    """The Open Inference Protocol, and Triton's bytes after the JSON."""

    def infer(self, model, body, status=200, headers=None, path="/infer"):
        return self.assertStatus(server.post(f"/v2/models/{model}{path}", body, {**BEARER, **(headers or {})}), status)

    def binary(self, model, body, tail, status=200, length=None):
        head = json.dumps(body).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length or len(head))}
        answer = server.request("POST", f"/v2/models/{model}/infer", head + tail, {**BEARER, **headers})
        self.assertEqual(answer.status, status, answer)
        return answer

    def test_server(self):
        self.assertEqual(self.assertStatus(server.get("/v2/health/live"), 200), {"live": True})
        self.assertEqual(self.assertStatus(server.get("/v2/health/ready"), 200), {"ready": True})
        found = self.assertStatus(server.get("/v2", BEARER), 200)
        self.assertEqual((found["name"], found["extensions"]), ("wde", ["binary_tensor_data"]))
        self.assertStatus(server.get("/v2"), 401)
        for path in ["/v2/models/bert-mean/ready", "/v2/models/bert-mean/versions/1/ready"]:
            self.assertEqual(self.assertStatus(server.get(path, BEARER), 200), {"name": "bert-mean", "ready": True})
        for path in ["/v2/models/none", "/v2/models/bert-mean/versions/2"]:
            self.assertEqual(list(self.assertStatus(server.get(path, BEARER), 404)), ["error"])
        text = {"name": "text", "datatype": "BYTES", "shape": [-1]}
        self.assertEqual(
            self.assertStatus(server.get("/v2/models/bert-mean", BEARER), 200),
            {"name": "bert-mean", "versions": ["1"], "platform": "wde", "inputs": [text],
             "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 48]}]})
        found = self.assertStatus(server.get("/v2/models/bert-cross-encoder/versions/1", BEARER), 200)
        self.assertEqual([t["name"] for t in found["inputs"] + found["outputs"]], ["query", "document", "score"])
        # None of this makes a new label of the metrics.
        text = server.get("/metrics").body.decode()
        self.assertNotIn("/v2/models/bert", text)
        self.assertIn("/v2/models/{model}", text)

    def test_embedding(self):
        for path in ["/infer", "/versions/1/infer"]:
            found = self.infer("bert-mean", {"id": "42", "inputs": [tensor("text", TEXTS)]}, path=path)
            self.assertEqual((found["model_name"], found["model_version"], found["id"]), ("bert-mean", "1", "42"))
            output = found["outputs"][0]
            self.assertEqual((output["name"], output["datatype"], output["shape"]), ("embedding", "FP32", [3, 48]))
            self.assertClose(output["data"], sum(VECTORS, []))
        nested = {"inputs": [{"name": "input-0", "shape": [2, 1], "datatype": "BYTES", "data": [[TEXTS[0]], [TEXTS[1]]]}],
                  "parameters": {"dimensions": 16, "normalize": True}}
        found = self.infer("bert-mean", nested)["outputs"][0]
        self.assertEqual(found["shape"], [2, 16])
        self.assertClose(found["data"][16:], unit(VECTORS[1][:16]))

    def test_what_has_no_effect_is_named(self):
        body = {"inputs": [tensor("text", TEXTS)], "parameters": {"dimensions": 16, "colour": "red"}, "shape": 3}
        answer = server.post("/v2/models/bert-mean/infer", body, BEARER)
        self.assertStatus(answer, 200)
        self.assertIn("without effect here: parameters.colour, shape", answer.headers.get_all("x-warning"))
        one = {**tensor("text", TEXTS), "parameters": {"colour": "red"}, "size": 3}
        body = {"inputs": [one], "outputs": [{"name": "embedding", "parameters": {"binary_data": False, "unit": "cm"}, "order": 1}]}
        answer = server.post("/v2/models/bert-mean/infer", body, BEARER)
        self.assertStatus(answer, 200)
        self.assertEqual(answer.headers.get_all("x-warning"), [
            "without effect here: outputs[0].order, outputs[0].parameters.unit, inputs[0].size, inputs[0].parameters.colour"])
        answer = server.post("/v2/models/bert-mean/infer", {"inputs": [tensor("text", TEXTS)], "id": "1"}, BEARER)
        self.assertIsNone(answer.headers.get_all("x-warning"))

    def test_scores_and_labels(self):
        documents = ["the cat sat", "a dog ran away"]
        expected = self.assertStatus(server.post(
            "/score", {"model": "bert-cross-encoder", "text_1": "a cat", "text_2": documents}, BEARER), 200)["data"]
        body = {"inputs": [tensor("document", documents), tensor("query", ["a cat"])]}
        output = self.infer("bert-cross-encoder", body)["outputs"][0]
        self.assertEqual((output["name"], output["shape"]), ("score", [2]))
        self.assertClose(output["data"], [e["score"] for e in expected])
        expected = self.assertStatus(server.post("/classify", {"model": "bert-classify", "input": documents}, BEARER), 200)["data"]
        probs, labels = self.infer("bert-classify", {"inputs": [tensor("text", documents)]})["outputs"]
        self.assertEqual(labels["data"], [e["label"] for e in expected])
        self.assertEqual(probs["shape"], [2, expected[0]["num_classes"]])
        self.assertClose(probs["data"], sum((e["probs"] for e in expected), []))
        body = {"inputs": [tensor("text", documents)], "outputs": [{"name": "label"}]}
        self.assertEqual([o["name"] for o in self.infer("bert-classify", body)["outputs"]], ["label"])

    def test_bytes_after_the_json(self):
        tail = packed(TEXTS)
        head = {"name": "text", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}}
        answer = self.binary("bert-mean", {"inputs": [head], "parameters": {"binary_data_output": True}}, tail)
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
        size = int(answer.headers["Inference-Header-Content-Length"])
        output = json.loads(answer.body[:size])["outputs"][0]
        self.assertEqual((output["shape"], output["parameters"]), ([3, 48], {"binary_data_size": 3 * 48 * 4}))
        self.assertNotIn("data", output)
        self.assertClose(struct.unpack("<144f", answer.body[size:]), sum(VECTORS, []))
        # Bytes in, JSON out.
        answer = self.binary("bert-mean", {"inputs": [head], "outputs": [{"name": "embedding"}]}, tail)
        self.assertClose(answer.json["outputs"][0]["data"], sum(VECTORS, []))
        # Labels as bytes, chosen for one output.
        body = {"inputs": [tensor("text", ["a"])], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
        answer = server.post("/v2/models/bert-classify/infer", body, BEARER)
        size = int(answer.headers["Inference-Header-Content-Length"])
        label = self.infer("bert-classify", {"inputs": [tensor("text", ["a"])]})["outputs"][1]["data"]
        self.assertEqual(answer.body[size:], packed(label))

    def test_tritonclient_does_not_say_what_its_bodies_are(self):
        """It sends no Content-Type, with bytes after the JSON or without."""
        body = json.dumps({"inputs": [tensor("text", TEXTS)]})
        answer = server.request("POST", "/v2/models/bert-mean/infer", body, BEARER)
        self.assertClose(self.assertStatus(answer, 200)["outputs"][0]["data"], sum(VECTORS, []))
        tail = packed(TEXTS)
        head = json.dumps({"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES",
                                       "parameters": {"binary_data_size": len(tail)}}]}).encode()
        headers = {**BEARER, "Inference-Header-Content-Length": str(len(head))}
        answer = server.request("POST", "/v2/models/bert-mean/infer", head + tail, headers)
        self.assertClose(self.assertStatus(answer, 200)["outputs"][0]["data"], sum(VECTORS, []))

    def test_hostile_bytes(self):
        def head(size, count=1):
            return {"inputs": [{"name": "text", "shape": [count], "datatype": "BYTES", "parameters": {"binary_data_size": size}}]}

        for body, tail in [
            (head(5), b"\x01\x00\x00\x00"),                         # fewer than announced
            (head(4), b"\xff\xff\xff\xff"),                         # a text that is longer than everything
            (head(3), b"\x01\x00\x00"),                              # half a length
            (head(4), b"\x00\x00\x00\x00"),                         # an empty text
            (head(10, 1), packed(["a", "b"])),                      # more than its shape says
            (head(5, 2), packed(["a"])),                            # less
            (head(5), packed(["a"]) + b"x"),                        # bytes that are nobody's
            (head(-1), b""),
        ]:
            self.assertEqual(list(self.binary("bert-mean", body, tail, 400).json), ["error"])
        self.binary("bert-mean", head(5), packed(["a"]), 400, length=10**9)
        self.binary("bert-mean", head(5), packed(["a"]), 400, length="x")
        self.binary("bert-mean", head(5), packed(["a"]), 200)
        invalid = packed(["a"])[:4] + b"\xff"
        self.binary("bert-mean", head(5), invalid, 400)
        # The media type is for these routes alone.
        self.assertStatus(server.request("POST", "/embed", "{}", {**BEARER, "Content-Type": "application/octet-stream"}), 415)

    def test_refusals(self):
        text = tensor("text", ["a"])
        for body, word in [
            ({"inputs": []}, "text"),
            ({"inputs": [{**text, "datatype": "INT64"}]}, "BYTES"),
            ({"inputs": [{**text, "shape": [1, 2]}]}, "shape"),
            ({"inputs": [{**text, "shape": [2]}]}, "2"),
            ({"inputs": [{**text, "shape": [10**6]}]}, "1000000"),
            ({"inputs": [{**text, "data": ["a", "b"]}]}, "shape"),
            ({"inputs": [{**text, "data": [1]}]}, "strings"),
            ({"inputs": [text, text]}, "text"),
            ({"inputs": [text], "outputs": [{"name": "other"}]}, "embedding"),
            ({"inputs": [text], "outputs": [{"name": "embedding", "parameters": {"classification": 2}}]}, "classification"),
            ({"inputs": [text], "parameters": {"sequence_id": 1}}, "sequence_id"),
        ]:
            self.assertIn(word, self.infer("bert-mean", body, 400)["error"])
        pair = {"inputs": [tensor("query", ["a"]), tensor("other", ["b"])]}
        self.assertIn("query, document", self.infer("bert-cross-encoder", pair, 400)["error"])
        two = {"inputs": [tensor("query", ["a", "b"]), tensor("document", ["a", "b", "c"])]}
        self.assertIn("as many", self.infer("bert-cross-encoder", two, 400)["error"])
        self.assertIn("token_classify", self.infer("bert-ner", {"inputs": [text]}, 400)["error"])
        self.infer("bert-mean", {"inputs": [text]}, 404, path="/versions/2/infer")
        self.infer("none", {"inputs": [text]}, 404)


class RootPath(Case):
    """Behind a proxy that puts a path before the server's, and takes it off or not."""

    @classmethod
    def setUpClass(cls):
        cls.rooted = Server(flags=["--root-path", "/ai/wde/"])

    @classmethod
    def tearDownClass(cls):
        cls.rooted.stop()

    def test_routes_with_and_without(self):
        for path in ["/v1/embeddings", "/openai/v1/embeddings", "/openai/deployments/x/embeddings"]:
            for root in ["", "/ai/wde"]:
                found = self.assertStatus(self.rooted.post(root + path, {"input": TEXTS[0]}), 200)
                self.assertClose(found["data"][0]["embedding"], VECTORS[0])
        for path in ["/health", "/v1/models", "/weaviate/meta", "/v2/models/bert-mean", "/metrics"]:
            self.assertEqual(self.rooted.get("/ai/wde" + path).status, 200)
        self.assertStatus(self.rooted.post("/ai/wde/tei/embed", {"inputs": []}), 400)
        for path in ["/ai/wdeX/health", "/ai/health", "/ai/wde/ai/wde/health", "/wde/health"]:
            self.assertStatus(self.rooted.get(path), 404)

    def test_pages_point_there(self):
        for path in ["/ai/wde", "/ai/wde/", "/"]:
            page = self.rooted.get(path).body.decode()
            self.assertIn('const root = "/ai/wde";', page)
            self.assertIn('href="/ai/wde/docs"', page)
        docs = self.rooted.get("/ai/wde/docs").body.decode()
        for link in re.findall(r'(?:src|href)="([^"]+)"', docs):
            self.assertTrue(link.startswith("/ai/wde/"), link)
            self.assertEqual(self.rooted.get(link).status, 200, link)
        self.assertIn('url: "/ai/wde/openapi.json"', self.rooted.get("/ai/wde/docs/start.js").body.decode())
        found = self.assertStatus(self.rooted.get("/ai/wde/openapi.json"), 200)
        self.assertEqual(found["servers"], [{"url": "/ai/wde"}])
        for page in ["/", "/docs", "/docs/start.js", "/openapi.json"]:
            self.assertNotIn("%ROOT%", self.rooted.get(page).body.decode())
            self.assertNotIn("%ROOT%", server.get(page).body.decode())
        self.assertEqual(self.assertStatus(server.get("/openapi.json"), 200)["servers"], [{"url": "/"}])

    def test_paths_that_cannot_be(self):
        for path in ["wde", "/a b", "/a\"b", "/a<b", "/a//b", "http://a/b"]:
            done = subprocess.run([BINARY, "serve", "--model", str(MODEL), "--port", "0", "--root-path", path],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("--root-path", done.stderr)


if __name__ == "__main__":
    unittest.main()
