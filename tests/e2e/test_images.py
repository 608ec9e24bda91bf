#!/usr/bin/env python3
"""CLIP from outside: images and texts by the command line and by the server's dialects. Needs WDE_BINARY and WDE_TEST_DATA. Standard library only."""
import base64
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

from serving import BINARY, DATA, Server

MODEL = DATA / "clip"
IMAGES = DATA.parent / "images"
GOLDEN = json.loads((MODEL / "golden.json").read_text())


def golden_vectors():
    content = (MODEL / "golden.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    out = []
    for i in range(len(GOLDEN["inputs"])):
        begin, end = header[f"embedding.{i}"]["data_offsets"]
        out.append(struct.unpack(f"<{(end - begin) // 4}f", data[begin:end]))
    return out


VECTORS = golden_vectors()
INPUTS = GOLDEN["inputs"]
NAMES = [item["image"] for item in INPUTS if isinstance(item, dict)]


def vector_of(item):
    return VECTORS[INPUTS.index(item)]


def data_url(name, kind=None):
    kind = kind or ("jpeg" if name.endswith("jpg") else "png")
    return f"data:image/{kind};base64," + base64.b64encode((IMAGES / name).read_bytes()).decode()


def embed(*arguments, stdin=None, model=MODEL):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    return subprocess.run([BINARY, "embed", "--model", str(model), *arguments], capture_output=True, input=stdin, timeout=300, env=environment)


class Case(unittest.TestCase):
    def assertNear(self, got, want, tolerance=3e-5):
        self.assertEqual(len(got), len(want))
        self.assertLess(max(abs(a - b) for a, b in zip(got, want)), tolerance * max(1, *map(abs, want)))


class CommandLine(Case):
    def test_texts_and_images(self):
        text = "a photo of a cat"
        done = embed(text, "--image", *(str(IMAGES / name) for name in NAMES))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([row["index"] for row in rows], list(range(1 + len(NAMES))))
        self.assertNear(rows[0]["embedding"], vector_of(text))
        for row, name in zip(rows[1:], NAMES):
            self.assertNear(row["embedding"], vector_of({"image": name}))

    def test_lines(self):
        lines = [{"image": str(IMAGES / "rgb.png")}, {"text": "a photo of a cat"}, {"image": str(IMAGES / "large.jpg")}]
        done = embed("--input", "-", stdin="".join(json.dumps(line) + "\n" for line in lines).encode())
        rows = [json.loads(line)["embedding"] for line in done.stdout.splitlines()]
        self.assertNear(rows[0], vector_of({"image": "rgb.png"}))
        self.assertNear(rows[1], vector_of("a photo of a cat"))
        self.assertNear(rows[2], vector_of({"image": "large.jpg"}))

    def test_what_is_no_image(self):
        with tempfile.TemporaryDirectory() as folder:
            bad = pathlib.Path(folder, "bad.png")
            bad.write_text("not an image")
            cut = pathlib.Path(folder, "cut.jpg")
            cut.write_bytes((IMAGES / "large.jpg").read_bytes()[:3000])
            done = embed("--image", str(bad), str(cut), folder, str(bad) + "x", str(IMAGES / "rgb.png"))
        self.assertEqual(done.returncode, 1, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        for row, words in zip(rows, ("neither a JPEG nor a PNG", "truncated", "expected a file", "No such file")):
            self.assertIn(words, row["error"])
        self.assertNear(rows[4]["embedding"], vector_of({"image": "rgb.png"}))

    def test_a_model_of_texts(self):
        done = embed("--image", str(IMAGES / "rgb.png"), model=DATA / "bert-mean")
        self.assertEqual(done.returncode, 1)
        self.assertIn("takes only texts", json.loads(done.stdout)["error"])

    def test_options_of_embeddings(self):
        done = embed("--image", str(IMAGES / "rgb.png"), "--normalize", "yes", "--dimensions", "8")
        vector = json.loads(done.stdout)["embedding"]
        self.assertEqual(len(vector), 8)
        self.assertAlmostEqual(sum(v * v for v in vector), 1, places=5)


class OverHttp(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(MODEL)
        cls.addClassCleanup(cls.server.stop)

    def test_openai(self):
        body = {"input": [data_url("rgb.png"), "a photo of a cat", {"image": data_url("large.jpg")}, {"image": data_url("grey.png").split(",")[1]}]}
        answer = self.server.post("/v1/embeddings", body)
        self.assertEqual(answer.status, 200, answer)
        rows = [item["embedding"] for item in answer.json["data"]]
        for row, item in zip(rows, ({"image": "rgb.png"}, "a photo of a cat", {"image": "large.jpg"}, {"image": "grey.png"})):
            self.assertNear(row, vector_of(item))

    def test_tei(self):
        answer = self.server.post("/embed", {"inputs": [data_url("palette.png"), "a photo of a cat"], "normalize": False})
        self.assertEqual(answer.status, 200, answer)
        self.assertNear(answer.json[0], vector_of({"image": "palette.png"}))
        self.assertNear(answer.json[1], vector_of("a photo of a cat"))

    def test_cohere(self):
        body = {"input_type": "image", "images": [data_url("422.jpg")], "embedding_types": ["float"], "model": ""}
        answer = self.server.post("/v2/embed", body)
        self.assertEqual(answer.status, 200, answer)
        self.assertNear(answer.json["embeddings"]["float"][0], vector_of({"image": "422.jpg"}))
        inputs = [{"content": [{"type": "image_url", "image_url": {"url": data_url("422.jpg")}}]},
                  {"content": [{"type": "text", "text": "a photo of a cat"}]}]
        answer = self.server.post("/v2/embed", {"inputs": inputs})
        self.assertEqual((answer.status, answer.json["texts"]), (200, ["a photo of a cat"]), answer)
        self.assertNear(answer.json["embeddings"]["float"][0], vector_of({"image": "422.jpg"}))
        self.assertNear(answer.json["embeddings"]["float"][1], vector_of("a photo of a cat"))

    def test_infinity(self):
        body = {"input": [data_url("rgb.png")], "modality": "image", "dimensions": 0}
        answer = self.server.post("/infinity/embeddings", body)
        self.assertEqual(answer.status, 200, answer)
        self.assertNear(answer.json["data"][0]["embedding"], vector_of({"image": "rgb.png"}))

    def test_nothing_is_fetched_or_read(self):
        for image in ("http://127.0.0.1:1/x.png", "https://example.com/x.png", "file:///etc/passwd", str(IMAGES / "rgb.png"), "data:text/html;base64,AAAA"):
            answer = self.server.post("/v1/embeddings", {"input": {"image": image}})
            self.assertIn(answer.status, (400, 422), answer)

    def test_bad_images(self):
        for text in ("data:image/png;base64,", "data:image/png;base64,$$$$", "data:image/png,AAAA", "data:image/png;base64,AAAA",
                     data_url("large.jpg")[:2000]):
            answer = self.server.post("/v1/embeddings", {"input": [text]})
            self.assertIn(answer.status, (400, 413, 422), answer)
        self.assertEqual(self.server.post("/v1/embeddings", {"input": [data_url("rgb.png")]}).status, 200)


if __name__ == "__main__":
    unittest.main()
