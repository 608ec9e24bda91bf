#!/usr/bin/env python3
"""`wde serve` as its operator has it: several models, keys, CORS, limits, signals, sockets, settings; and the API's description.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import gzip
import os
import re
import signal
import tempfile
import time
import unittest

from serving import DATA, MODEL, SLOW, Case, Server, embed_command, in_threads


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.stop()


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
            self.assertEqual(three.post("/", {"inputs": "a"}).json, [three.post("/predict", {"inputs": "a"}).json])
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
            log = default.log_with("/v1/rerank")
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
        s.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
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
                self.assertEqual(packed, "swagger-ui" in path or len(plain.body) >= 64 << 10, path)
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
