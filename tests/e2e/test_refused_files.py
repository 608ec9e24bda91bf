#!/usr/bin/env python3
"""Files of a model that are pipes, devices or of another kind than is read: refused at once, in a sentence that helps; and what is taken with a note.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import shutil
import tempfile
import time
import unittest

from cli import DATA, Case, rows, run, wde


class RefusedFiles(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wde-refused-")
        self.addCleanup(folder.cleanup)
        self.directory = pathlib.Path(folder.name)

    def copy(self, name, *left_out):
        directory = self.directory / f"{name}-{len(list(self.directory.iterdir()))}"
        shutil.copytree(DATA / name, directory, ignore=shutil.ignore_patterns("golden.*", *left_out))
        return directory

    def edit(self, directory, name="config.json", **keys):
        content = json.loads((directory / name).read_text())
        content.update(keys)
        (directory / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    # ---- neither files nor of a size that can be

    def test_pipes_and_devices(self):
        files = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "modules.json", "sentence_bert_config.json",
                 "config_sentence_transformers.json", "1_Pooling/config.json", "model.safetensors")
        for name in files:
            for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
                with self.subTest(name, make=make):
                    directory = self.copy("bert-mean")
                    (directory / name).unlink(missing_ok=True)
                    make(directory / name)
                    begin = time.monotonic()
                    self.assertFailed(wde("embed", "text", model=directory), pathlib.Path(name).name, "expected a regular file, found a pipe, socket or device")
                    self.assertLess(time.monotonic() - begin, 10)

    def test_vocabularies_that_are_pipes(self):
        for model, name in (("bert-mean", "vocab.txt"), ("roberta-mean", "vocab.json"), ("roberta-mean", "merges.txt")):
            with self.subTest(name):
                directory = self.copy(model, "tokenizer.json", "tokenizer_config.json")
                for other in ("vocab.json", "merges.txt"):
                    if model == "roberta-mean":
                        (directory / other).write_text('{"<s>": 0, "</s>": 1}' if other == "vocab.json" else "#version: 0.2\n")
                (directory / name).unlink(missing_ok=True)
                os.mkfifo(directory / name)
                self.assertFailed(wde("tokenize", "text", model=directory), name, "expected a regular file")

    def test_a_size_beyond_the_bound(self):
        directory = self.copy("bert-mean")
        os.truncate(directory / "tokenizer.json", 1 << 40)  # sparse
        self.assertFailed(wde("tokenize", "text", model=directory), "tokenizer.json", "it has 1099511627776 bytes")

    def test_a_link_that_leads_nowhere(self):
        directory = self.copy("bert-mean")
        (directory / "special_tokens_map.json").symlink_to("nowhere")
        self.assertFailed(wde("tokenize", "text", model=directory), "special_tokens_map.json", "No such file")

    def test_the_hubs_token_is_no_pipe(self):
        os.mkfifo(self.directory / "token")
        home = {"HF_HOME": str(self.directory), "HF_HUB_OFFLINE": "1"}
        self.assertFailed(run("embed", "--model", "no/such", "text", env=home), "no/such", status=1)

    def test_certificates_of_the_hub_that_are_pipes(self):
        os.mkfifo(self.directory / "pipe")
        names = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        for variable in names:
            for path in (self.directory / "pipe", "/dev/zero", self.directory):
                with self.subTest(variable, path=path):
                    env = {"HF_HOME": str(self.directory), "HF_ENDPOINT": "https://127.0.0.1:9"} | dict.fromkeys(names, "") | {variable: str(path)}
                    done = run("pull", "no/such", env=env)
                    self.assertFailed(done, f"{path}: expected a regular file, found a", variable, status=1)

    def test_adapters_and_templates(self):
        for model, name in (("lora-bert", "adapter_config.json"), ("lora-bert", "adapter_model.safetensors"), ("qwen3-reranker", "chat_template.jinja")):
            for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir):
                with self.subTest(name, make=make):
                    directory = self.copy(model)
                    (directory / name).unlink(missing_ok=True)
                    make(directory / name)
                    command = ("rerank", "--query", "a") if "reranker" in model else ("embed",)
                    done = run(*command, "--model", str(directory), "text", env={"HF_HUB_OFFLINE": "1"})
                    self.assertFailed(done, name, "expected a regular file, found a")

    def test_images_and_inputs(self):
        os.mkfifo(self.directory / "pipe")
        for path in (self.directory / "pipe", "/dev/zero", self.directory):
            with self.subTest(path=path):
                done = wde("embed", "--image", str(path), model=DATA / "clip")
                self.assertEqual((done.returncode, "error" in rows(done)[0]), (1, True), done.stderr)
                self.assertIn(f"cannot read the image {path}: expected a file", done.stderr.decode())
        self.assertFailed(wde("embed", "--input", str(self.directory)), "it is a directory, expected a file of lines")

    # ---- files of other programs

    def test_a_tokenizer_that_must_be_converted(self):
        for name in ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"):
            with self.subTest(name):
                directory = self.copy("xlm-roberta-cls", "tokenizer.json")
                (directory / name).write_bytes(b"\n\x0e\n\x05")
                done = wde("tokenize", "text", model=directory)
                self.assertFailed(done, f"there is no tokenizer.json in {directory}, and {name} must be converted", "python3 -c", f"save_pretrained('{directory}')")

    def test_a_class_that_config_json_names(self):
        """Not taken for plain BERT's, whatever vocabulary lies there."""
        for name, files in (("BertJapaneseTokenizer", {"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"}),
                            ("HerbertTokenizerFast", {"vocab.json": '{"<s>": 0, "</s>": 1, "a": 2}', "merges.txt": "#version: 0.2\n"})):
            with self.subTest(name):
                directory = self.copy("bert-mean", "tokenizer.json", "tokenizer_config.json")
                for file, content in files.items():
                    (directory / file).write_text(content)
                self.edit(directory, tokenizer_class=name)
                self.assertFailed(wde("tokenize", "text", model=directory), f"tokenizer class {name.removesuffix('Fast')}")

    def test_weights_of_other_programs(self):
        for name, words in (("model.onnx", "ONNX is not read here"), ("onnx/model.onnx", "ONNX is not read here"), ("model-q4.gguf", "GGUF is not read here"),
                            ("tf_model.h5", "TensorFlow is not read here")):
            with self.subTest(name):
                directory = self.copy("bert-mean", "model.safetensors")
                (directory / name).parent.mkdir(exist_ok=True)
                (directory / name).write_bytes(b"x")
                self.assertFailed(wde("embed", "text", model=directory), name, words, "take the model that this file was made from")
        bare = self.directory / "bare"
        bare.mkdir()
        (bare / "nomic.gguf").write_bytes(b"GGUF")
        self.assertFailed(wde("embed", "text", model=bare), "found no config.json", "GGUF is not read here")

    # ---- architectures

    def test_an_unknown_architecture_is_short_and_helps(self):
        directory = self.copy("bert-mean")
        self.edit(directory, architectures=["BerdModel"], model_type="berd")
        done = wde("embed", "text", model=directory)
        self.assertFailed(done, 'the architecture "BerdModel" (model_type "berd") is not supported', "the nearest names are BertModel", "`wde models`")
        self.assertLess(len(done.stderr), 500)

    def test_an_unknown_architecture_of_a_known_type(self):
        directory = self.copy("bert-mean")
        self.edit(directory, architectures=["BertForQuestionAnswering"])
        done = wde("embed", "text", model=directory)
        self.assertDone(done)
        self.assertIn('the architecture "BertForQuestionAnswering" is not known; taken by its model_type, as AutoModel does: BertModel', done.stderr.decode())
        self.assertEqual(rows(done)[0]["embedding"], rows(wde("embed", "text", model=DATA / "bert-mean"))[0]["embedding"])
        self.edit(directory, auto_map={"AutoModel": "modeling_own.BertForMine"})
        self.assertFailed(wde("embed", "text", model=directory), "is not supported", 'its code "modeling_own.BertForMine" is not run')

    def test_code_of_the_repository(self):
        directory = self.copy("bert-mean")
        self.edit(directory, auto_map={"AutoConfig": "own.Config", "AutoModel": "somebody/something--modeling_own.BertModel"})
        done = wde("embed", "text", model=directory)
        self.assertDone(done)
        self.assertIn('the model\'s code "modeling_own.BertModel" belongs to the repository and is not run; computed as BertModel', done.stderr.decode())
        told = run("doctor", "--model", str(directory), stdin=None).stdout.decode()
        self.assertIn("is not run; computed as BertModel\nIt works; read the notes.\n", told)
        report = json.loads(run("doctor", "--model", str(directory), "--json", stdin=None).stdout)
        self.assertEqual(len(report["engine"]["notes"]), 1)
        self.edit(directory, auto_map={"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"})
        self.assertNotIn("is not run", wde("embed", "text", model=directory).stderr.decode())

    def test_arguments_for_the_tokenizer_class(self):
        directory = self.copy("bert-mean")
        self.edit(directory, "sentence_bert_config.json", tokenizer_args={"add_eos_token": True})
        self.assertFailed(wde("embed", "text", model=directory), '"tokenizer_args" sets "add_eos_token", which is not supported here; set it in tokenizer_config.json')
        self.edit(directory, "sentence_bert_config.json", tokenizer_args={"trust_remote_code": True, "padding_side": "left"})
        self.assertDone(wde("embed", "text", model=directory))

    # ---- lengths

    def test_tokenizing_cuts_where_embedding_does(self):
        for name in ("roberta-mean", "xlm-roberta-cls", "mpnet"):
            with self.subTest(name):
                directory = self.copy(name)
                self.edit(directory, "sentence_bert_config.json", max_seq_length=None)
                self.edit(directory, "tokenizer_config.json", model_max_length=None)
                done = wde("tokenize", "a b " * 600, model=directory)
                self.assertDone(done)
                self.assertEqual((len(rows(done)[0]["ids"]), rows(done)[0]["truncated"]), (512, True))


if __name__ == "__main__":
    unittest.main()
