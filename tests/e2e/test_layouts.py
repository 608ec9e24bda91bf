#!/usr/bin/env python3
"""Every family in the layouts that are on the Hub: a golden checkpoint, rewritten, gives the same results to the last bit.

The golden checkpoints have the layout that today's transformers writes, and golden_tests compares them with the reference. Needs WDE_BINARY and
WDE_TEST_DATA. Standard library only.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from layouts import Layout

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))


def wde(command, model, *arguments, stdin=b""):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    return subprocess.run([BINARY, command, "--model", str(model), *arguments], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, env=env)


def inputs_of(name):
    items = json.loads((DATA / name / "golden.json").read_text())["inputs"]
    lines = [{"query": i[0], "document": i[1]} if isinstance(i, list) else {"text": i} for i in items]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class Layouts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wde-layouts-")
        self.addCleanup(self.folder.cleanup)
        self.count = 0

    def layout(self, name):
        self.count += 1
        self.name = name
        return Layout(DATA / name, pathlib.Path(self.folder.name) / str(self.count))

    def assertSame(self, layout, command="embed", form="safetensors", *arguments):
        """The rewritten checkpoint answers as the golden one does, and nothing of it was left over."""
        model, source = layout.write(form), inputs_of(self.name)
        arguments = ["--input", "-", "--input-format", "jsonl", *arguments]
        want, got = (wde(command, m, *arguments, stdin=source) for m in (DATA / self.name, model))
        self.assertEqual(got.stderr, want.stderr, got.stderr.decode())
        self.assertEqual(want.returncode, got.returncode)
        self.assertGreater(len(want.stdout), 100)
        self.assertEqual(got.stdout, want.stdout)

    def assertRefused(self, layout, *words):
        process = wde("embed", layout.write(), "a")
        message = process.stderr.decode()
        self.assertNotEqual(process.returncode, 0)
        for word in words:
            self.assertIn(word, message)


class Bert(Layouts):
    def test_with_its_prefix_and_heads(self):
        layout = self.layout("bert-mean")
        layout.prefix("bert.")
        bias = layout.tensors["bert.embeddings.LayerNorm.bias"]
        layout.tensors["cls.predictions.bias"] = bias
        layout.tensors["cls.seq_relationship.bias"] = bias
        layout.tensors["bert.embeddings.position_ids"] = ("I64", [1, 512], bytes(8 * 512))
        layout.keys({"dtype": "torch_dtype"}, architectures=["BertForPreTraining"])
        self.assertSame(layout)

    def test_gamma_and_beta(self):
        layout = self.layout("bert-mean")
        layout.rename(lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
        self.assertTrue(any(name.endswith("LayerNorm.gamma") for name in layout.tensors))
        self.assertSame(layout)

    def test_without_an_architecture(self):
        layout = self.layout("bert-mean")
        layout.keys(removed=["architectures"])
        self.assertSame(layout)

    def test_decoder_of_its_own(self):
        layout = self.layout("bert-splade")
        layout.tensors["cls.predictions.decoder.weight"] = layout.tensors["bert.embeddings.word_embeddings.weight"]
        layout.tensors["cls.predictions.decoder.bias"] = layout.tensors["cls.predictions.bias"]
        self.assertSame(layout, "sparse")

    def test_decoder_bias_under_the_other_name(self):
        layout = self.layout("bert-splade")
        layout.rename(lambda n: n.replace("cls.predictions.bias", "cls.predictions.decoder.bias"))
        self.assertSame(layout, "sparse")

    def test_torch_file_and_shards(self):
        for form in ("torch", "torch shards", "shards"):
            with self.subTest(form):
                self.assertSame(self.layout("bert-mean"), "embed", form)

    def test_transformer_in_a_folder(self):
        layout = self.layout("bert-mean")
        layout.write()
        home = layout.directory / "0_Transformer"
        home.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"):
            (layout.directory / name).rename(home / name)
        modules = json.loads((layout.directory / "modules.json").read_text())
        modules[0]["path"] = "0_Transformer"
        (layout.directory / "modules.json").write_text(json.dumps(modules))
        arguments = ["--input", "-", "--input-format", "jsonl"]
        want, got = (wde("embed", m, *arguments, stdin=inputs_of("bert-mean")) for m in (DATA / "bert-mean", layout.directory))
        self.assertEqual(got.stdout, want.stdout, got.stderr.decode())


class Encoders(Layouts):
    def test_prefixes(self):
        for name, prefix in {"roberta-mean": "roberta.", "xlm-roberta-cls": "roberta.", "distilbert": "distilbert.", "mpnet": "mpnet.",
                             "albert": "albert.", "electra": "electra.", "modernbert": "model."}.items():
            with self.subTest(name):
                layout = self.layout(name)
                layout.prefix(prefix)
                layout.keys({"dtype": "torch_dtype"})
                self.assertSame(layout)

    def test_heads_without_a_prefix(self):
        layout = self.layout("bge-reranker-v2-m3")
        layout.rename(lambda n: n.removeprefix("roberta."))
        self.assertSame(layout, "score")

    def test_masked_language_models(self):
        for name, prefix, architecture in (("roberta-mean", "roberta.", "RobertaForMaskedLM"), ("distilbert", "distilbert.", "DistilBertForMaskedLM"),
                                           ("mpnet", "mpnet.", "MPNetForMaskedLM"), ("electra", "electra.", "ElectraForPreTraining"),
                                           ("modernbert", "model.", "ModernBertForMaskedLM")):
            with self.subTest(name):
                layout = self.layout(name)
                layout.prefix(prefix)
                head = {"roberta-mean": "lm_head.bias", "distilbert": "vocab_projector.bias", "mpnet": "lm_head.bias",
                        "electra": "discriminator_predictions.dense.bias", "modernbert": "decoder.bias"}[name]
                layout.tensors[head] = next(t for n, t in layout.tensors.items() if n.endswith("bias") or "norm" in n)
                layout.keys(architectures=[architecture])
                self.assertSame(layout)

    def test_t5_with_both_names_of_its_words(self):
        layout = self.layout("t5-encoder")
        layout.tensors["encoder.embed_tokens.weight"] = layout.tensors["shared.weight"]
        self.assertSame(layout)
        layout = self.layout("t5-encoder")
        layout.rename(lambda n: n.replace("shared.", "encoder.embed_tokens."))
        self.assertSame(layout)

    def test_t5_with_its_decoder(self):
        layout = self.layout("t5-encoder")
        layout.tensors["decoder.final_layer_norm.weight"] = layout.tensors["encoder.final_layer_norm.weight"]
        layout.tensors["lm_head.weight"] = layout.tensors["shared.weight"]
        layout.keys(architectures=["T5ForConditionalGeneration"])
        self.assertSame(layout)


class ModernBert(Layouts):
    def old_keys(self, layout):
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types"], global_rope_theta=160000.0, local_rope_theta=10000.0,
                    global_attn_every_n_layers=3, position_embedding_type="absolute", layer_norm_eps=1e-5, reference_compile=False)

    def test_old_keys(self):
        layout = self.layout("modernbert")
        self.old_keys(layout)
        self.assertSame(layout)

    def test_old_keys_of_a_reranker(self):
        layout = self.layout("modernbert-reranker")
        self.old_keys(layout)
        self.assertSame(layout, "score")

    def test_theta_is_read(self):  # mmBERT has 160,000 on all layers
        layout = self.layout("modernbert")
        self.old_keys(layout)
        layout.keys(local_rope_theta=160000.0)
        with self.assertRaises(AssertionError):
            self.assertSame(layout)

    def test_relative_positions_are_refused(self):
        layout = self.layout("modernbert")
        layout.keys(position_embedding_type="relative")
        self.assertRefused(layout, "position_embedding_type", "relative")


class NomicBert(Layouts):
    def own_keys(self):
        layout = self.layout("nomic-bert")
        layout.keys({"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "intermediate_size": "n_inner",
                     "max_position_embeddings": "n_positions", "layer_norm_eps": "layer_norm_epsilon", "dtype": "torch_dtype"},
                    removed=["rope_parameters", "hidden_act", "head_dim", "attention_probs_dropout_prob", "hidden_dropout_prob"],
                    activation_function="swiglu", rotary_emb_base=1000, rotary_emb_fraction=1.0, rotary_emb_interleaved=False,
                    rotary_emb_scale_base=None, rotary_scaling_factor=None, max_trained_positions=2048, prenorm=False, parallel_block=False,
                    parallel_block_tied_norm=False, use_rms_norm=False, causal=False, qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False,
                    pad_vocab_size_multiple=64, use_flash_attn=True, fused_bias_fc=True, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
                    scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, summary_type="cls_index",
                    auto_map={"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"})
        return layout

    def test_own_keys(self):
        layout = self.own_keys()
        layout.rows("embeddings.word_embeddings.weight", 1536)
        self.assertSame(layout)

    def test_vocabulary_that_was_padded_before(self):
        layout = self.own_keys()
        layout.rows("embeddings.word_embeddings.weight", 1536)
        layout.keys(vocab_size=1536)
        self.assertSame(layout)

    def test_prefix_and_head(self):
        layout = self.own_keys()
        layout.rows("embeddings.word_embeddings.weight", 1536)
        layout.prefix("bert.")
        layout.tensors["cls.predictions.transform.dense.bias"] = layout.tensors["bert.emb_ln.bias"]
        layout.keys(architectures=["NomicBertForPreTraining"])
        self.assertSame(layout)

    def test_other_arithmetic_is_refused(self):
        for key, value in (("prenorm", True), ("use_rms_norm", True), ("parallel_block", True), ("rotary_emb_interleaved", True),
                           ("rotary_emb_scale_base", 512.0), ("activation_function", "relu2")):
            with self.subTest(key):
                layout = self.own_keys()
                layout.rows("embeddings.word_embeddings.weight", 1536)
                layout.keys(**{key: value})
                self.assertRefused(layout, key)


class GteNew(Layouts):
    def own_keys(self):
        layout = self.layout("gte-new")
        theta = layout.config["rope_parameters"]["rope_theta"]
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters"], architectures=["NewModel"], model_type="new", rope_theta=theta,
                    rope_scaling=None, position_embedding_type="rope", layer_norm_type="layer_norm", logn_attention_scale=False,
                    logn_attention_clip1=False, pack_qkv=True, unpad_inputs=False, use_memory_efficient_attention=False,
                    auto_map={"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"})
        return layout

    def test_new_model(self):
        self.assertSame(self.own_keys())

    def test_new_model_with_prefix_and_heads(self):
        layout = self.own_keys()
        layout.prefix("new.")
        bias = layout.tensors["new.embeddings.LayerNorm.bias"]
        layout.tensors["classifier.bias"] = bias
        layout.tensors["lm_head.bias"] = bias
        layout.tensors["new.pooler.dense.bias"] = bias
        layout.keys(architectures=["NewForTokenClassification"])
        self.assertSame(layout)

    def test_projections_that_are_not_packed(self):
        layout = self.own_keys()
        for name in [n for n in layout.tensors if ".qkv_proj." in n]:
            layout.split(name, [name.replace("qkv_proj", part) for part in ("q_proj", "k_proj", "v_proj")])
        layout.keys(pack_qkv=False)
        self.assertSame(layout)

    def test_what_is_not_known_is_refused(self):
        layout = self.own_keys()
        layout.keys(logn_attention_scale=True)
        self.assertRefused(layout, "logn_attention_scale")
        layout = self.own_keys()
        layout.keys(rope_scaling={"type": "ntk", "factor": 8.0, "mixed_b": 0.6})
        self.assertRefused(layout, "mixed_b")


class Decoders(Layouts):
    def old_rope(self, layout):
        parameters = dict(layout.config["rope_parameters"])
        theta, kind = parameters.pop("rope_theta"), parameters.pop("rope_type")
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types"], rope_theta=theta,
                    rope_scaling={"type": kind, **parameters} if kind != "default" else None)

    def test_for_causal_lm_with_old_keys(self):
        for name, architecture in {"qwen2-last": "Qwen2ForCausalLM", "qwen3-embedding": "Qwen3ForCausalLM", "e5-mistral": "MistralForCausalLM",
                                   "mistral-window": "MistralForCausalLM", "llama3-rope": "LlamaForCausalLM",
                                   "gemma2-lasttoken": "Gemma2ForCausalLM"}.items():
            with self.subTest(name):
                layout = self.layout(name)
                layout.prefix("model.")
                layout.tensors["lm_head.weight"] = layout.tensors["model.embed_tokens.weight"]
                layout.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = ("F32", [8], bytes(32))
                self.old_rope(layout)
                layout.keys(architectures=[architecture])
                self.assertSame(layout)

    def test_window_that_is_switched_off(self):
        layout = self.layout("gte-qwen2")
        self.old_rope(layout)
        layout.keys(sliding_window=8, use_sliding_window=False, max_window_layers=1)
        self.assertSame(layout)

    def test_tied_head(self):
        layout = self.layout("qwen3-reranker")
        words = layout.tensors["model.embed_tokens.weight"]
        layout.tensors["lm_head.weight"] = words
        tied = self.layout("qwen3-reranker")
        del tied.tensors["lm_head.weight"]
        tied.keys(tie_word_embeddings=True)
        outputs = []
        for model in (layout, tied):
            done = wde("score", model.write(), "--input", "-", "--input-format", "jsonl", stdin=inputs_of("qwen3-reranker"))
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            outputs.append(done.stdout)
        self.assertEqual(*outputs)

    def test_head_that_should_be_there(self):
        layout = self.layout("qwen3-reranker")
        del layout.tensors["lm_head.weight"]
        layout.keys(tie_word_embeddings=False)
        done = wde("score", layout.write(), "--input", "-", "--input-format", "jsonl", stdin=inputs_of("qwen3-reranker"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("lm_head.weight", done.stderr.decode())

    def test_gemma3_old_keys(self):
        for key in ("sliding_window_pattern", "_sliding_window_pattern"):
            layout = self.layout("embeddinggemma")
            layout.prefix("model.")
            layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types", "_sliding_window_pattern"], rope_theta=1e6,
                        rope_local_base_freq=10000.0, rope_scaling=None, architectures=["Gemma3ForCausalLM"])
            layout.keys(**{key: 6})
            self.assertSame(layout)

    def test_gte_qwen2_without_is_causal(self):
        layout = self.layout("gte-qwen2")
        self.old_rope(layout)
        layout.keys(removed=["is_causal"], architectures=["Qwen2ForCausalLM"],
                    auto_map={"AutoModel": "modeling_qwen.Qwen2Model", "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM"})
        self.assertSame(layout)

    def test_llm2vec_without_is_causal(self):
        layout = self.layout("llm2vec-mistral")
        self.old_rope(layout)
        layout.keys(removed=["is_causal"], architectures=["MistralEncoderModel"],
                    auto_map={"AutoModel": "modeling_mistral_encoder.MistralEncoderModel"})
        self.assertSame(layout)
        layout = self.layout("llm2vec-mistral")
        layout.keys(removed=["is_causal"])
        (layout.directory / "llm2vec_config.json").write_text("{}")
        self.assertSame(layout)


if __name__ == "__main__":
    unittest.main()
