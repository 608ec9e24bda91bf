#!/usr/bin/env python3
"""What a model can be asked for is what its files say, and an error for anything else says what fits.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import pathlib
import tempfile
import unittest

from layouts import Layout
from serving import Server
from test_layouts import DATA, inputs_of, wde


class Tasks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wde-tasks-")
        self.addCleanup(self.folder.cleanup)

    def layout(self, name):
        return Layout(DATA / name, pathlib.Path(self.folder.name) / f"{name}-{len(list(pathlib.Path(self.folder.name).iterdir()))}")

    def assertRefused(self, command, model, *words, arguments=("a",)):
        done = wde(command, model, *arguments)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, 2, message)
        self.assertEqual(done.stdout, b"")
        for word in words:
            self.assertIn(word, message)

    def test_an_embedder_says_that_it_is_one(self):
        for command in ("score", "classify", "token-classify", "sparse"):
            with self.subTest(command):
                self.assertRefused(command, DATA / "bert-mean", "bert-mean is an embedder (BertModel) and has no task",
                                   "it answers embed (`wde embed`), token_embed (`wde hidden`), tokenize (`wde tokenize`)",
                                   arguments=("a", "b"))

    def test_other_kinds_say_what_they_are(self):
        self.assertRefused("embed", DATA / "bert-classify", "is a classifier (BertForSequenceClassification)", "--pooling", "wde classify")
        self.assertRefused("embed", DATA / "bert-cross-encoder", "is a reranker", "wde score")
        self.assertRefused("score", DATA / "bert-classify", "its head gives 5 classes, and a score is one number",
                           arguments=("a", "b"))
        self.assertRefused("embed", DATA / "bert-ner", "is a classifier of tokens", "wde token-classify")
        self.assertRefused("embed", DATA / "colbert-stanford", "a vector for every token and none of the whole text")
        self.assertRefused("classify", DATA / "colbert-stanford", "is a late-interaction model (HF_ColBERT)", "wde multi-vector")

    def test_pooling_takes_the_vectors_of_a_classifier(self):
        self.assertEqual(wde("embed", DATA / "bert-classify", "--pooling", "mean", "a").returncode, 0)

    def test_a_head_that_was_not_saved(self):
        layout = self.layout("bert-mean")
        layout.keys(architectures=["BertForSequenceClassification"], id2label={"0": "LABEL_0"})
        done = wde("score", layout.write(), "a", "b")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has no tensor", done.stderr.decode())

    # Language models: their files decide, not the architecture.
    def published(self, name, architecture):
        layout = self.layout(name)
        layout.prefix("model.", except_for=("lm_head.",))
        layout.keys(architectures=[architecture])
        return layout

    def test_a_language_model_that_pools_is_an_embedder(self):
        for name, architecture in (("qwen3-embedding", "Qwen3ForCausalLM"), ("gemma2-lasttoken", "Gemma2ForCausalLM"),
                                   ("qwen2-last", "Qwen2ForCausalLM"), ("e5-mistral", "MistralForCausalLM")):
            with self.subTest(name):
                model = self.published(name, architecture).write()
                self.assertRefused("score", model, "is an embedder", "LogitScore", "wde embed",
                                   arguments=("--input", "-", "--input-format", "jsonl"))
                want, got = (wde("rerank", m, "--query", "a", "b c", "a") for m in (DATA / name, model))
                self.assertEqual(got.stdout, want.stdout)

    def reranker(self):
        """Qwen3-Reranker has tokens "yes" and "no", which the golden model's tokenizer lacks."""
        layout = self.layout("qwen3-reranker")
        path = layout.directory / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        size = layout.config["vocab_size"]
        model = tokenizer["model"]
        renamed = {token for token, i in model["vocab"].items() if i >= size - 2}  # the last that were merged
        model["merges"] = [m for m in model["merges"] if "".join(m if isinstance(m, list) else m.split(" ")) not in renamed]
        model["vocab"] = {**{token: i for token, i in model["vocab"].items() if i < size - 2}, "yes": size - 2, "no": size - 1}
        path.write_text(json.dumps(tokenizer))
        module = layout.directory / "1_LogitScore" / "config.json"
        module.write_text(json.dumps({**json.loads(module.read_text()), "true_token_id": size - 2, "false_token_id": size - 1}))
        return layout

    def published_reranker(self):
        """As on the Hub: without modules.json."""
        layout = self.reranker()
        (layout.directory / "modules.json").unlink()
        (layout.directory / "1_LogitScore" / "config.json").unlink()
        return layout

    def test_qwen3_reranker_as_published_is_a_reranker(self):
        source = inputs_of("qwen3-reranker")
        with_modules, published = self.reranker().write(), self.published_reranker().write()
        want, got = (wde("score", m, "--input", "-", "--input-format", "jsonl", stdin=source) for m in (with_modules, published))
        self.assertGreater(len(want.stdout), 100)
        self.assertEqual(got.stdout, want.stdout, got.stderr.decode())
        want, got = (wde("rerank", m, "--query", "a", "b c", "a") for m in (with_modules, published))
        self.assertEqual(got.returncode, 0)
        self.assertEqual(got.stdout, want.stdout)
        self.assertEqual(wde("embed", published, "--pooling", "lasttoken", "a").returncode, 0)
        self.assertRefused("embed", published, "is a reranker (Qwen3ForCausalLM)", "--pooling")
        with Server(published) as server:
            answer = server.post("/v1/rerank", {"query": "a", "documents": ["b c", "a"]})
            self.assertEqual(answer.status, 200, answer)
            best = json.loads(got.stdout.splitlines()[0])
            self.assertAlmostEqual(answer.json["results"][0]["relevance_score"], best["score"], delta=1e-6)

    def test_a_chat_template_of_its_own_is_not_guessed(self):  # zerank and mxbai-rerank-v2 in sentence-transformers' layout
        known = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ..."
        arguments, source = ("--input", "-", "--input-format", "jsonl"), inputs_of("qwen3-reranker")
        want = wde("score", DATA / "qwen3-reranker", *arguments, stdin=source)
        for name in ("chat_template.jinja", "tokenizer_config.json"):
            for text, refused in ((known, False), ("<|im_start|>system\n{{ query }}<|im_end|>", True)):
                layout = self.layout("qwen3-reranker")
                path = layout.directory / name
                path.write_text(text if name.endswith("jinja") else json.dumps({**json.loads(path.read_text()), "chat_template": text}))
                done = wde("score", layout.write(), *arguments, stdin=source)
                if refused:
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(f"{name}: the model puts pairs into a chat template of its own", done.stderr.decode())
                    done = wde("score", layout.directory, "--template", "qwen3", *arguments, stdin=source)
                self.assertEqual(done.stdout, want.stdout, done.stderr.decode())

    def test_code_of_its_own_is_not_guessed(self):  # zerank
        layout = self.published_reranker()
        layout.keys(auto_map={"AutoConfig": "modeling_zeranker.ZEConfig"})
        self.assertRefused("score", layout.write(), "modeling_zeranker.ZEConfig", "never run", arguments=("--input", "-", "--input-format", "jsonl"))

    def test_a_classifier_of_tokens_that_pools_is_an_embedder(self):  # gte-multilingual-base
        layout = self.layout("gte-new")
        layout.keys(architectures=["NewForTokenClassification"], model_type="new")
        layout.tensors["classifier.weight"] = ("F32", [1, 48], bytes(4 * 48))
        layout.tensors["classifier.bias"] = ("F32", [1], bytes(4))
        model = layout.write()
        report = json.loads(wde("doctor", model, "--json").stdout)
        self.assertEqual(report["engine"]["task"], "embed")
        with Server(model) as server:
            answer = server.post("/v1/embeddings", {"input": "a"})
            self.assertEqual(answer.status, 200, answer)

    def test_the_server_lists_what_it_answers(self):
        with Server(DATA / "bert-cross-encoder") as server:
            answer = server.post("/v1/embeddings", {"input": "a"})
            self.assertEqual(answer.status, 400, answer)
            message = answer.json["error"]["message"]
            self.assertIn('it has no task "embed", but classify, score, token_embed, tokenize', message)


if __name__ == "__main__":
    unittest.main()
