#!/usr/bin/env python3
"""Models as their repositories on the Hub have them, file by file: a golden checkpoint, rewritten so, answers as it did to the last bit.

test_layouts.py changes one thing at a time; here everything that a repository has is there at once. docs/models.md lists which repository each
architecture was tried with. Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import json
import struct
import unittest

from layouts import read_safetensors, write_torch
from test_layouts import DATA, Layouts, inputs_of, wde

OLD_POOLING = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
JUNK = b"not a file of weights"


class Repositories(Layouts):
    # What older versions of sentence-transformers wrote, and what else lies in such a repository.
    def sentence_transformers(self, layout, pooling="mean_tokens", dense=(), normalize=True, length=None):
        home = layout.directory
        names = ["Transformer", "Pooling", *["Dense"] * len(dense), *["Normalize"] * normalize]
        paths = ["", "1_Pooling", *dense, *[f"{2 + len(dense)}_Normalize"] * normalize]
        self.file(layout, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
                                           for i, (name, path) in enumerate(zip(names, paths))])
        width = layout.config.get("hidden_size") or layout.config.get("dim") or layout.config.get("d_model") or layout.config["n_embd"]
        self.file(layout, "1_Pooling/config.json", {"word_embedding_dimension": width,
                                                    **{f"pooling_mode_{mode}": mode == pooling for mode in OLD_POOLING},
                                                    **({f"pooling_mode_{pooling}": True} if pooling not in OLD_POOLING else {})})
        if length is None and (home / "sentence_bert_config.json").exists():
            length = json.loads((home / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.file(layout, "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
        self.file(layout, "config_sentence_transformers.json",
                  {"__version__": {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}})

    def file(self, layout, name, content):
        path = layout.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=2).encode())

    def beside(self, layout, *names):
        for name in names:
            self.file(layout, name, JUNK)

    def tokenizer(self, layout, truncation=None, padding=None, **keys):
        """tokenizer_config.json's keys, and what training left baked into tokenizer.json."""
        path = layout.directory / "tokenizer_config.json"
        config = {**json.loads(path.read_text()), **keys}
        path.write_text(json.dumps(config))
        special = {k: config[k] for k in config if k.endswith("_token") and isinstance(config[k], str)}
        self.file(layout, "special_tokens_map.json", special)
        if truncation:
            path = layout.directory / "tokenizer.json"
            tokenizer = json.loads(path.read_text())
            tokenizer["truncation"] = {"max_length": truncation, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
            pad = config["pad_token"]
            tokenizer["padding"] = {"strategy": {"Fixed": padding} if padding else "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
                                    "pad_id": next(t["id"] for t in tokenizer["added_tokens"] if t["content"] == pad), "pad_type_id": 0, "pad_token": pad}
            path.write_text(json.dumps(tokenizer))

    def old(self, layout, **keys):
        """The keys that transformers 4 wrote, and not those of 5."""
        layout.keys({"dtype": "torch_dtype"} if "dtype" in layout.config else {}, transformers_version="4.18.0", **keys)

    def position_ids(self, layout, name):
        layout.tensors[name] = ("I64", [1, 4], struct.pack("<4q", 0, 1, 2, 3))

    def pooler(self, layout, prefix="", width=48):
        layout.tensors[prefix + "pooler.dense.weight"] = ("F32", [width, width], bytes(4 * width * width))
        layout.tensors[prefix + "pooler.dense.bias"] = ("F32", [width], bytes(4 * width))


class Encoders(Repositories):
    def test_all_minilm_l6_v2(self):  # sentence-transformers/all-MiniLM-L6-v2
        layout = self.layout("bert-mean")
        self.sentence_transformers(layout)
        self.old(layout, _name_or_path="nreimers/MiniLM-L6-H384-uncased", gradient_checkpointing=False, position_embedding_type="absolute")
        self.position_ids(layout, "embeddings.position_ids")
        self.pooler(layout)
        self.tokenizer(layout, truncation=16, padding=16, model_max_length=512, strip_accents=None, tokenize_chinese_chars=True, never_split=None,
                       do_basic_tokenize=True, clean_up_tokenization_spaces=True, name_or_path="nreimers/MiniLM-L6-H384-uncased",
                       special_tokens_map_file="/root/.cache/huggingface/transformers/special_tokens_map.json")
        self.beside(layout, "pytorch_model.bin", "rust_model.ot", "tf_model.h5", "onnx/model.onnx", "openvino/openvino_model.xml", "data_config.json",
                    "train_script.py")
        self.assertSame(layout)

    def test_bge_small_en(self):  # BAAI/bge-small-en-v1.5, BAAI/bge-large-zh-v1.5, intfloat/e5-base-v2
        layout = self.layout("bert-cls")
        self.sentence_transformers(layout, "cls_token")
        self.old(layout, _name_or_path="/root/.cache/torch/sentence_transformers/BAAI_bge-small-en/", id2label={"0": "LABEL_0"},
                 label2id={"LABEL_0": 0}, classifier_dropout=None, use_cache=True)
        self.position_ids(layout, "embeddings.position_ids")
        self.pooler(layout)
        self.tokenizer(layout, model_max_length=1000000000000000019884624838656, cls_token="[CLS]", clean_up_tokenization_spaces=True,
                       added_tokens_decoder={})
        self.beside(layout, "vocab.txt", "onnx/model.onnx")
        self.assertSame(layout)

    def test_all_distilroberta_v1(self):  # sentence-transformers/all-distilroberta-v1: pytorch_model.bin alone
        layout = self.layout("roberta-mean")
        self.sentence_transformers(layout)
        self.old(layout, architectures=["RobertaForMaskedLM"], gradient_checkpointing=False)
        self.position_ids(layout, "embeddings.position_ids")
        self.tokenizer(layout, truncation=16, trim_offsets=True, errors="replace", special_tokens_map_file=None)
        self.beside(layout, "merges.txt", "vocab.json")
        layout.tensors.pop("embeddings.position_ids")  # write_torch writes floats alone
        self.assertSame(layout, "embed", "torch")

    def test_multilingual_e5_base(self):  # intfloat/multilingual-e5-base, BAAI/bge-m3's transformer
        layout = self.layout("xlm-roberta-cls")
        self.sentence_transformers(layout, "cls_token")
        self.old(layout, architectures=["XLMRobertaModel"], output_past=True, position_embedding_type="absolute", use_cache=True)
        self.position_ids(layout, "embeddings.position_ids")
        self.pooler(layout)
        self.tokenizer(layout, sp_model_kwargs={}, additional_special_tokens=[], clean_up_tokenization_spaces=True)
        self.beside(layout, "onnx/model.onnx_data")
        self.assertSame(layout)

    def test_bge_m3(self):  # BAAI/bge-m3: pytorch_model.bin, sparse_linear.pt and colbert_linear.pt
        for command in ("embed", "sparse", "multi-vector"):
            with self.subTest(command):
                layout = self.layout("bge-m3")
                self.old(layout, architectures=["XLMRobertaModel"])
                self.beside(layout, "onnx/model.onnx", "long.jpg")
                self.assertSame(layout, command, "torch")

    def test_sentence_camembert(self):  # dangvantuan/sentence-camembert-base
        layout = self.layout("camembert")
        self.sentence_transformers(layout, "cls_token")
        self.old(layout, architectures=["CamembertModel"], output_past=True)
        layout.prefix("roberta.")
        self.assertSame(layout)

    def test_distilbert_tas_b(self):  # sentence-transformers/msmarco-distilbert-base-tas-b
        layout = self.layout("distilbert")
        self.sentence_transformers(layout)
        self.old(layout, architectures=["DistilBertModel"], seq_classif_dropout=0.2, sinusoidal_pos_embds=False, tie_weights_=True, qa_dropout=0.1)
        layout.prefix("distilbert.")
        self.beside(layout, "tf_model.h5")
        self.assertSame(layout)

    def test_all_mpnet_base_v2(self):  # sentence-transformers/all-mpnet-base-v2
        layout = self.layout("mpnet")
        self.sentence_transformers(layout)
        self.old(layout, architectures=["MPNetForMaskedLM"], _name_or_path="microsoft/mpnet-base", relative_attention_num_buckets=32)
        self.position_ids(layout, "embeddings.position_ids")
        self.pooler(layout)
        self.tokenizer(layout, truncation=16, padding=16, strip_accents=None, tokenize_chinese_chars=True)
        self.beside(layout, "pytorch_model.bin", "onnx/model_qint8_avx512.onnx", "train_script.py")
        self.assertSame(layout)

    def test_paraphrase_albert_small_v2(self):  # sentence-transformers/paraphrase-albert-small-v2
        layout = self.layout("albert")
        self.sentence_transformers(layout)
        self.old(layout, down_scale_factor=1, gap_size=0, net_structure_type=0, num_memory_blocks=0, inner_group_num=1, num_hidden_groups=1,
                 classifier_dropout_prob=0.1, layers_to_keep=[], position_embedding_type="absolute")
        self.position_ids(layout, "embeddings.position_ids")
        self.assertSame(layout)

    def test_electra_discriminator(self):  # google/electra-small-discriminator's layout under sentence-transformers
        layout = self.layout("electra")
        self.sentence_transformers(layout)
        self.old(layout, architectures=["ElectraForPreTraining"], summary_type="first", summary_use_proj=True, summary_activation="gelu",
                 summary_last_dropout=0.1)
        layout.prefix("electra.")
        self.position_ids(layout, "electra.embeddings.position_ids")
        layout.tensors["discriminator_predictions.dense_prediction.bias"] = ("F32", [1], bytes(4))
        self.assertSame(layout)

    def test_gte_multilingual_base(self):  # Alibaba-NLP/gte-multilingual-base: config.json names a head of tokens
        layout = self.layout("gte-new")
        self.sentence_transformers(layout, json_pooling(layout))
        theta = layout.config["rope_parameters"]["rope_theta"]
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters"], architectures=["NewForTokenClassification"], model_type="new", rope_theta=theta,
                    rope_scaling=None, position_embedding_type="rope", layer_norm_type="layer_norm", logn_attention_scale=False,
                    logn_attention_clip1=False, pack_qkv=True, unpad_inputs=False, use_memory_efficient_attention=False, classifier_dropout=0.0,
                    auto_map={"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig", "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
                              "AutoModelForTokenClassification": "Alibaba-NLP/new-impl--modeling.NewForTokenClassification"})
        layout.prefix("new.")
        self.pooler(layout, "new.")
        layout.tensors["classifier.weight"] = ("F32", [1, 48], bytes(4 * 48))
        layout.tensors["classifier.bias"] = ("F32", [1], bytes(4))
        self.assertSame(layout)

    def test_arctic_embed_m_v2(self):  # Snowflake/snowflake-arctic-embed-m-v2.0: Alibaba's code under names of its own
        layout = self.layout("gte-new")
        theta = layout.config["rope_parameters"]["rope_theta"]
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters"], architectures=["GteModel"], model_type="gte", rope_theta=theta,
                    rope_scaling=None, position_embedding_type="rope", layer_norm_type="layer_norm", logn_attention_scale=False, pack_qkv=True,
                    unpad_inputs="true", use_memory_efficient_attention="true", matryoshka_dimensions=[24],
                    auto_map={"AutoConfig": "configuration_hf_alibaba_nlp_gte.GteConfig", "AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel"})
        self.beside(layout, "onnx/model.onnx", "configuration_hf_alibaba_nlp_gte.py")
        self.assertSame(layout)

    def test_gte_modernbert_base(self):  # Alibaba-NLP/gte-modernbert-base, answerdotai/ModernBERT-base
        layout = self.layout("modernbert")
        self.sentence_transformers(layout, json_pooling(layout), normalize=True)
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types"], global_rope_theta=160000.0, local_rope_theta=10000.0,
                    global_attn_every_n_layers=3, position_embedding_type="absolute", layer_norm_eps=1e-5, reference_compile=False,
                    repad_logits_with_grad=False, sparse_prediction=False, sparse_pred_ignore_index=-100, deterministic_flash_attn=False, gradient_checkpointing=False)
        layout.prefix("model.")
        self.beside(layout, "onnx/model.onnx")
        self.assertSame(layout)

    def test_mmbert_base(self):  # jhu-clsp/mmBERT-base and what was made from it
        layout = self.layout("modernbert")
        layout.keys({"dtype": "torch_dtype"}, position_embedding_type="sans_pos", layer_norm_eps=1e-5, sparse_prediction=False)
        self.assertSame(layout)

    def test_labse(self):  # sentence-transformers/LaBSE: an old Dense, in pytorch_model.bin
        layout = self.layout("bert-max-dense")
        self.old(layout, directionality="bidi", pooler_fc_size=768, pooler_num_attention_heads=12, pooler_num_fc_layers=3, pooler_size_per_head=128,
                 pooler_type="first_token_transform", gradient_checkpointing=False)
        self.pooler(layout)
        for file in layout.directory.glob("*_Dense/model.safetensors"):
            write_torch(file.parent / "pytorch_model.bin", read_safetensors(file))
            file.unlink()
        self.assertSame(layout)

    def test_pooling_without_modules(self):  # sentence-transformers reads no such file then: said, not silent
        layout = self.layout("bert-cls")
        (layout.directory / "modules.json").unlink()
        done = wde("embed", layout.write(), "a")
        self.assertEqual(done.returncode, 0)
        self.assertIn("has no modules.json, so its 1_Pooling/config.json is not read: mean pooling", done.stderr.decode())

    def test_eurobert_210m(self):  # EuroBERT/EuroBERT-210m
        layout = self.layout("eurobert")
        theta = layout.config["rope_parameters"]["rope_theta"]
        layout.keys({"dtype": "torch_dtype", "classifier_pooling": "clf_pooling"}, removed=["rope_parameters"], rope_theta=theta, rope_scaling=None,
                    architectures=["EuroBertForMaskedLM"], mask_token="<|mask|>",
                    auto_map={"AutoConfig": "configuration_eurobert.EuroBertConfig", "AutoModel": "modeling_eurobert.EuroBertModel"})
        layout.prefix("model.")
        layout.tensors["lm_head.weight"] = layout.tensors["model.embed_tokens.weight"]
        self.assertSame(layout)

    def test_nomic_embed_text_v2_moe(self):  # nomic-ai/nomic-embed-text-v2-moe: the golden one has the Hub's layout but for these
        layout = self.layout("nomic-moe")
        self.old(layout, architectures=["NomicBertModel"])
        self.beside(layout, "onnx/model.onnx", "sentencepiece.bpe.model.txt")
        self.assertSame(layout)

    def test_sentence_t5_base(self):  # sentence-transformers/sentence-t5-base, gtr-t5-base: a Dense in pytorch_model.bin
        layout = self.layout("t5-encoder")
        self.old(layout, architectures=["T5EncoderModel"], is_encoder_decoder=True, is_decoder=False, decoder_start_token_id=0, n_positions=512,
                 output_past=True, use_cache=True, task_specific_params={"summarization": {"max_length": 200}}, gradient_checkpointing=False)
        layout.tensors["encoder.embed_tokens.weight"] = layout.tensors["shared.weight"]
        self.beside(layout, "rust_model.ot", "onnx/decoder.onnx")
        self.assertSame(layout)


def json_pooling(layout):
    config = json.loads((layout.directory / "1_Pooling" / "config.json").read_text())
    if "pooling_mode" in config:
        return {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}[config["pooling_mode"]]
    return next(k.removeprefix("pooling_mode_") for k, v in config.items() if v is True and k.startswith("pooling_mode_"))


class Decoders(Repositories):
    def old_rope(self, layout):
        parameters = dict(layout.config["rope_parameters"])
        theta, kind = parameters.pop("rope_theta"), parameters.pop("rope_type")
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types"], rope_theta=theta,
                    rope_scaling={"type": kind, **parameters} if kind != "default" else None)

    def test_qwen3_embedding(self):  # Qwen/Qwen3-Embedding-0.6B: a causal language model without a head and without a prefix
        layout = self.layout("qwen3-embedding")
        self.sentence_transformers(layout, "lasttoken")
        (layout.directory / "sentence_bert_config.json").unlink()
        self.old_rope(layout)
        layout.keys(architectures=["Qwen3ForCausalLM"], tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, transformers_version="4.51.2")
        self.tokenizer(layout, model_max_length=512, add_prefix_space=False, split_special_tokens=False, errors="replace",
                       chat_template="{%- if tools %}{{- '<|im_start|>system\\n' }}{%- endif %}", clean_up_tokenization_spaces=False)
        self.file(layout, "config_sentence_transformers.json", {
            "prompts": {"query": "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:", "document": ""},
            "default_prompt_name": None, "similarity_fn_name": "cosine"})
        self.beside(layout, "merges.txt")
        self.file(layout, "generation_config.json", {"do_sample": False})
        source = inputs_of(self.name)
        prompts = json.loads((DATA / self.name / "config_sentence_transformers.json").read_text()).get("default_prompt_name")
        self.assertIsNone(prompts)
        arguments = ["--input", "-", "--input-format", "jsonl", "--max-length", "512"]
        want, got = (wde("embed", m, *arguments, stdin=source) for m in (DATA / self.name, layout.write()))
        self.assertEqual(got.returncode, 0, got.stderr.decode())
        self.assertEqual(got.stdout, want.stdout)

    def test_sfr_embedding_mistral(self):  # Salesforce/SFR-Embedding-Mistral, Linq-AI-Research/Linq-Embed-Mistral: MistralModel, last token
        layout = self.layout("e5-mistral")
        self.sentence_transformers(layout, "lasttoken")
        self.old_rope(layout)
        layout.keys(architectures=["MistralModel"], sliding_window=layout.config.get("sliding_window"))
        self.assertSame(layout)

    def test_gte_qwen2(self):  # Alibaba-NLP/gte-Qwen2-1.5B-instruct, but for its tokenizer
        layout = self.layout("gte-qwen2")
        self.sentence_transformers(layout, "lasttoken")
        self.old_rope(layout)
        layout.keys(removed=["is_causal"], architectures=["Qwen2ForCausalLM"], use_sliding_window=False, sliding_window=131072, max_window_layers=28,
                    auto_map={"AutoModel": "modeling_qwen.Qwen2Model", "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM",
                              "AutoModelForSequenceClassification": "modeling_qwen.Qwen2ForSequenceClassification"})
        layout.prefix("model.")
        layout.tensors["lm_head.weight"] = layout.tensors["model.embed_tokens.weight"]
        self.assertSame(layout)

    def test_bge_multilingual_gemma2(self):  # BAAI/bge-multilingual-gemma2
        layout = self.layout("gemma2-lasttoken")
        self.sentence_transformers(layout, "lasttoken")
        self.old_rope(layout)
        layout.keys(architectures=["Gemma2Model"], cache_implementation="hybrid", query_pre_attn_scalar=layout.config["query_pre_attn_scalar"])
        self.assertSame(layout)

    def test_embeddinggemma(self):  # google/embeddinggemma-300m: Dense layers without a bias, prompts, names of transformers 4.57
        layout = self.layout("embeddinggemma")
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters"], rope_theta=1e6, rope_local_base_freq=10000.0, rope_scaling=None,
                    architectures=["Gemma3TextModel"], _sliding_window_pattern=6)
        prompts = {"query": "task: search result | query: ", "document": "title: none | text: ", "STS": "task: sentence similarity | query: "}
        self.file(layout, "config_sentence_transformers.json", {"model_type": "SentenceTransformer", "prompts": prompts, "default_prompt_name": None,
                                                                "similarity_fn_name": "cosine"})
        self.assertSame(layout)

    def test_projections(self):  # voyage-4-nano has one, and Giga-Embeddings, of the same class, has none
        layout = self.layout("voyage-nano")
        layout.keys(num_labels=71)
        self.assertRefused(layout, "num_labels is 71", "linear.weight, which has 72")
        layout = self.layout("voyage-nano")
        pooling = layout.directory / "1_Pooling" / "config.json"
        pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "word_embedding_dimension": 48}))
        self.assertRefused(layout, "word_embedding_dimension", "must be 72")
        del layout.tensors["linear.weight"]
        layout.keys(removed=["num_labels"], model_type="qwen3_bidirec", is_causal=False)
        (layout.directory / "model.safetensors").touch()
        done = wde("embed", layout.write(), "a")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(len(json.loads(done.stdout)["embedding"]), 48)

    def test_llama_nemotron(self):  # nvidia/llama-nemotron-embed-1b-v2
        layout = self.layout("llama-bidirectional")
        layout.keys(model_type="llama_bidirec", auto_map={"AutoModel": "llama_bidirectional_model.LlamaBidirectionalModel"}, pooling="avg")
        self.beside(layout, "llama_bidirectional_model.py")
        self.assertSame(layout)


class Judges(Repositories):
    def test_ms_marco_minilm(self):  # cross-encoder/ms-marco-MiniLM-L6-v2, before and since sentence-transformers 4
        for keys in ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
                     {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0.dev0"}}):
            layout = self.layout("bert-cross-encoder")
            self.old(layout, architectures=["BertForSequenceClassification"], id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, **keys)
            self.position_ids(layout, "bert.embeddings.position_ids")
            self.tokenizer(layout, truncation=16, padding=16)
            self.beside(layout, "pytorch_model.bin", "flax_model.msgpack", "onnx/model.onnx")
            want = self.layout("bert-cross-encoder")
            want.keys(**keys)
            source = inputs_of("bert-cross-encoder")
            want, got = (wde("score", m.write(), "--input", "-", "--input-format", "jsonl", stdin=source) for m in (want, layout))
            self.assertEqual(got.returncode, 0, got.stderr.decode())
            self.assertEqual(got.stdout, want.stdout)

    def test_bge_reranker_v2_m3(self):  # BAAI/bge-reranker-base, -large, -v2-m3
        layout = self.layout("bge-reranker-v2-m3")
        self.old(layout, architectures=["XLMRobertaForSequenceClassification"], _name_or_path="BAAI/bge-m3", output_past=True)
        self.position_ids(layout, "roberta.embeddings.position_ids")
        self.tokenizer(layout, sp_model_kwargs={}, clean_up_tokenization_spaces=True)
        self.beside(layout, "onnx/model.onnx", "assets/llama-index.png")
        self.assertSame(layout, "score")

    def test_mxbai_rerank_base_v1(self):  # mixedbread-ai/mxbai-rerank-base-v1 and microsoft/deberta-v3-base, which spells pos_att_type in one string
        for kinds in (["p2c", "c2p"], "p2c|c2p"):
            layout = self.layout("deberta-v2-reranker")
            self.old(layout, architectures=["DebertaV2ForSequenceClassification"], pos_att_type=kinds, _name_or_path="microsoft/deberta-v3-base")
            self.position_ids(layout, "deberta.embeddings.position_ids")
            self.beside(layout, "added_tokens.json.bak", "onnx/model.onnx")
            self.assertSame(layout, "score")

    def test_gte_reranker_modernbert_base(self):  # Alibaba-NLP/gte-reranker-modernbert-base
        layout = self.layout("modernbert-reranker")
        layout.keys({"dtype": "torch_dtype"}, removed=["rope_parameters", "layer_types"], global_rope_theta=160000.0, local_rope_theta=10000.0,
                    global_attn_every_n_layers=3, position_embedding_type="absolute", layer_norm_eps=1e-5, reference_compile=False)
        self.assertSame(layout, "score")

    def test_bert_base_ner(self):  # dslim/bert-base-NER
        layout = self.layout("bert-ner")
        self.old(layout, architectures=["BertForTokenClassification"], _num_labels=5, max_length=512, output_past=True, pad_token_id=0)
        layout.prefix("bert.", except_for=("classifier.", "bert."))
        self.pooler(layout, "bert.")
        self.beside(layout, "flax_model.msgpack", "pytorch_model.bin")
        self.assertSame(layout, "token-classify")


class Others(Repositories):
    def test_splade_v3(self):  # naver/splade-v3, since sentence-transformers 5
        layout = self.layout("bert-splade")
        self.old(layout, architectures=["BertForMaskedLM"], _name_or_path="naver/splade-cocondenser-ensembledistil")
        self.file(layout, "modules.json", [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"},
            {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}])
        self.file(layout, "1_SpladePooling/config.json", {"pooling_strategy": "max", "activation_function": "relu", "word_embedding_dimension": 1500})
        self.file(layout, "config_sentence_transformers.json", {"model_type": "SparseEncoder", "prompts": {"query": "", "document": ""},
                                                                "default_prompt_name": None, "similarity_fn_name": "dot"})
        self.file(layout, "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
        self.position_ids(layout, "bert.embeddings.position_ids")
        self.assertSame(layout, "sparse")

    def test_static_retrieval_mrl(self):  # sentence-transformers/static-retrieval-mrl-en-v1: a folder of its own
        layout = self.static("static-embedding")
        (layout / "0_StaticEmbedding").mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            (layout / name).rename(layout / "0_StaticEmbedding" / name)
        (layout / "modules.json").write_text(json.dumps([
            {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}]))
        self.assertSameDirectories(layout)

    def test_potion_base_8m(self):  # minishlab/potion-base-8M
        layout = self.static("model2vec")
        (layout / "pipeline.skops").write_bytes(JUNK)
        (layout / "onnx").mkdir()
        (layout / "onnx" / "model.onnx").write_bytes(JUNK)
        self.assertSameDirectories(layout)

    def test_model2vec_without_modules(self):
        layout = self.static("model2vec")
        (layout / "modules.json").unlink()
        self.assertSameDirectories(layout)
        config = json.loads((layout / "config.json").read_text())
        (layout / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in ("architectures", "model_type")}))
        self.assertSameDirectories(layout)

    def test_clip_vit_b_32(self):  # openai/clip-vit-base-patch32
        layout = self.layout("clip")
        layout.tensors["text_model.embeddings.position_ids"] = ("I64", [1, 2], struct.pack("<2q", 0, 1))
        layout.tensors["vision_model.embeddings.position_ids"] = ("I64", [1, 2], struct.pack("<2q", 0, 1))
        layout.keys({"dtype": "torch_dtype"}, _name_or_path="clip-vit-base-patch32/", text_config_dict={"bos_token_id": 637, "eos_token_id": 2}, vision_config_dict=None)
        self.beside(layout, "flax_model.msgpack", "tf_model.h5", "pytorch_model.bin", "merges.txt", "vocab.json")
        want, got = (wde("embed", m, "a cat", "two dogs and a cat") for m in (DATA / "clip", layout.write()))
        self.assertEqual(got.returncode, 0, got.stderr.decode())
        self.assertEqual(got.stdout, want.stdout)

    def static(self, name):
        import pathlib
        import shutil

        self.name = name
        target = pathlib.Path(self.folder.name) / "static"
        shutil.copytree(DATA / name, target, ignore=shutil.ignore_patterns("golden.*"))
        return target

    def assertSameDirectories(self, directory):
        arguments, source = ["--input", "-", "--input-format", "jsonl"], inputs_of(self.name)
        want, got = (wde("embed", m, *arguments, stdin=source) for m in (DATA / self.name, directory))
        self.assertEqual(got.returncode, 0, got.stderr.decode())
        self.assertEqual(got.stdout, want.stdout)
        self.assertEqual(got.stderr, want.stderr)


del Layouts  # its own tests run in test_layouts.py


if __name__ == "__main__":
    unittest.main()
