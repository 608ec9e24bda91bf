#!/usr/bin/env python3
"""Variants of the golden checkpoints: other keys in config.json, other heads and modules, and what the reference answers.

usage: make_variants.py        needs torch, transformers >= 5.23, sentence-transformers >= 6.2 and safetensors

variants/variants.json says of each: the checkpoint in models/ that it changes, the keys of config.json to set and to remove, the task, the settings, the
inputs, and of hidden states the rows that are recorded; or a phrase of the sentence that refuses it. The files in variants/NAME/ lie over the
checkpoint's; the tensors in its head.safetensors are more of the same model. variants/golden.safetensors has the answers, "NAME.i".
Float32 on a CPU, eager attention, every input alone.
"""
import json
import pathlib
import shutil
import tempfile

import sentence_transformers as ST
import torch
import transformers as T
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).resolve().parent
MODELS, OUT = HERE / "models", HERE / "variants"
SHORT, LONG = "What is the capital of France?", "The quick brown fox jumps over the lazy dog. " * 12
PAIRS = [["What is the capital of France?", "Paris is the capital of France."], ["what is a panda?", "hi"]]
LENGTH = 500
SPECS, ANSWERS = [], {}


def lay_out(variant, directory):
    """As variants_test.cc does it."""
    base = MODELS / variant["model"]
    shutil.copytree(base, directory, dirs_exist_ok=True)
    own = OUT / variant["name"]
    if own.exists():
        shutil.copytree(own, directory, dirs_exist_ok=True)
    config = directory / "config.json"
    if config.exists():
        keys = json.loads(config.read_text())
        keys.update(variant.get("config", {}))
        for key in variant.get("removed", []):
            keys.pop(key, None)
        config.write_text(json.dumps(keys))
    if (directory / "head.safetensors").exists():
        names = {}
        for shard, file in enumerate(("model.safetensors", "head.safetensors"), 1):
            to = f"model-0000{shard}-of-00002.safetensors"
            (directory / file).rename(directory / to)
            names.update(dict.fromkeys(load_file(directory / to), to))
        (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def variant(name, model, task="token_embed", reference=None, inputs=(SHORT, LONG), files=None, head=None, settings=None, config=None, removed=None, output=None):
    """reference(directory) -> a function of an input that gives the array, which is called `output`."""
    output = output or {"token_embed": "hidden", "embed": "embedding", "sparse": "sparse", "score": "logit"}.get(task, "logits")
    spec = {"name": name, "model": model, "task": task, "output": output, "inputs": list(inputs), "settings": {"max-length": str(LENGTH), **(settings or {})}}
    spec.update({k: v for k, v in (("config", config), ("removed", removed)) if v})
    for file, content in (files or {}).items():
        path = OUT / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.endswith(".safetensors"):
            save_file(content, path)
        else:
            path.write_text(json.dumps(content, indent=1))
    if head:
        (OUT / name).mkdir(exist_ok=True)
        torch.manual_seed(len(SPECS))
        save_file({k: (torch.randn(shape) * (0.2 if len(shape) == 1 else 0.12) + (1.0 if "orm" in k and k.endswith("weight") else 0.0)).half()
                   for k, shape in head.items()}, OUT / name / "head.safetensors")
    SPECS.append(spec)
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        lay_out(spec, directory)
        with torch.no_grad():
            answer = (reference or hidden)(directory)
            for i, given in enumerate(inputs):
                array = answer(given).float().clone().contiguous()
                if task == "token_embed":  # enough of them to see every layer's mask
                    spec.setdefault("rows", []).append(sorted({0, 1, len(array) // 2, len(array) - 1}))
                    array = array[spec["rows"][-1]]
                ANSWERS[f"{name}.{i}"] = array.contiguous()
    print(name, {i: list(ANSWERS[f"{name}.{i}"].shape) for i in range(len(inputs))}, flush=True)


def refused(name, model, phrase, task="token_embed", **config):
    SPECS.append({"name": name, "model": model, "task": task, "config": config, "refused": phrase})


def ids_of(directory, given):
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    encoded = tokenizer.encode(*given) if isinstance(given, list) else tokenizer.encode(given)
    return torch.tensor([encoded.ids]), torch.tensor([encoded.type_ids])


def loaded(directory, architecture):
    model, info = getattr(T, architecture).from_pretrained(directory, attn_implementation="eager", output_loading_info=True)
    missing = [k for k in info["missing_keys"] if "pooler" not in k]
    assert not missing, missing
    return model.eval().float()


def transformers_model(architecture, of, types=False):
    def reference(directory):
        model = loaded(directory, architecture)

        def answer(given):
            ids, type_ids = ids_of(directory, given)
            return of(model(input_ids=ids, **({"token_type_ids": type_ids} if types else {})))

        return answer

    return reference


def architecture_of(directory):
    return json.loads((directory / "config.json").read_text())["architectures"][0]


def hidden(directory):
    return transformers_model(architecture_of(directory), lambda out: out.last_hidden_state[0])(directory)


def logits(directory):
    return transformers_model(architecture_of(directory), lambda out: out.logits[0])(directory)


def splade(directory):
    return transformers_model(architecture_of(directory), lambda out: torch.log1p(torch.relu(out.logits[0])).max(0).values)(directory)


def auto(directory):
    """With the class that transformers chooses by the config."""
    return transformers_model("AutoModel", lambda out: out.last_hidden_state[0])(directory)


# ---------------------------------------------------------------- keys of encoders
def encoders():
    for activation in ("gelu_python", "gelu_accurate", "silu", "relu"):
        variant(f"bert-{activation}", "bert-mean", config={"hidden_act": activation})
    variant("bert-eps", "bert-mean", config={"layer_norm_eps": 0.01})
    refused("bert-activation", "bert-mean", "hidden_act is 'mish'", hidden_act="mish")
    refused("bert-relative-positions", "bert-mean", "position_embedding_type is 'relative_key'", position_embedding_type="relative_key")
    refused("bert-decoder", "bert-mean", "is_decoder is true", is_decoder=True)
    refused("mpnet-buckets", "mpnet", "relative_attention_num_buckets must be 32", relative_attention_num_buckets=64)
    variant("modernbert-odd-window", "modernbert", config={"local_attention": 17})
    variant("modernbert-old-scaling", "modernbert", config={"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, removed=["rope_parameters", "layer_types"])
    variant("modernbert-one-layer-type", "modernbert", config={"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 9e4}}})
    variant("modernbert-theta-beside", "modernbert", config={
        "rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "default"}}, "global_rope_theta": 300.0, "local_rope_theta": 77.0})
    refused("modernbert-old-scaling-type", "modernbert", 'expected "rope_type"', rope_scaling={"type": "linear", "factor": 2.0})
    refused("modernbert-classifier", "modernbert-reranker", "classifier_activation is 'mish'", "score", classifier_activation="mish")
    refused("deberta-pooler", "deberta-v2-reranker", "pooler_hidden_act is 'mish'", "score", pooler_hidden_act="mish")
    refused("deberta-embedding-size", "deberta-v2-reranker", "embedding_size must be hidden_size", embedding_size=24)
    refused("deberta-head-size", "deberta-v2-reranker", "attention_head_size", attention_head_size=16)
    refused("deberta-not-relative", "deberta-v2-reranker", "relative_attention must be true", relative_attention=False)
    for family in ("nomic-bert", "gte-new", "jina-v3-native"):
        variant(f"{family}-linear", family, config={"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 777.0}})
        refused(f"{family}-partial", family, "partial_rotary_factor", rope_parameters={"rope_type": "default", "rope_theta": 777.0, "partial_rotary_factor": 0.5})
        refused(f"{family}-head-dim", family, "head_dim must be 12", head_dim=24)
        variant(f"{family}-silent", family, removed=["rope_parameters", "layer_norm_eps", "hidden_act", "type_vocab_size"])
    variant("eurobert-silent", "eurobert", removed=["rope_parameters", "rms_norm_eps", "hidden_act"])


# ---------------------------------------------------------------- keys of decoders
def decoders():
    def rope(**keys):
        return {"rope_parameters": {"rope_theta": 10000.0, **keys}}

    factors = {"short_factor": [1.0 + 0.1 * i for i in range(8)], "long_factor": [2.0 + 0.5 * i for i in range(8)]}
    scalings = {
        "linear": {"rope_type": "linear", "factor": 2.5, "attention_factor": 1.5},
        "dynamic": {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64},
        "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "truncate": False, "beta_fast": 20, "beta_slow": 2},
        "yarn-mscale": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "mscale": 0.7, "mscale_all_dim": 1.3},
        "yarn-attention": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "attention_factor": 1.7},
        "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 1.3},
        "longrope": {"rope_type": "longrope", "original_max_position_embeddings": 64, **factors},
    }
    for name, keys in scalings.items():
        variant(f"llama-{name}", "llama-features", config=rope(**keys))
    variant("llama-original-beside", "llama-features", removed=["rope_parameters"], config={
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}, "original_max_position_embeddings": 200, "rope_theta": 5000.0})
    variant("llama-two-ropes", "llama-features", config={**rope(), "rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 5000.0})
    variant("llama-window", "llama-features", config={"sliding_window": 16, "use_sliding_window": True})
    refused("llama-partial", "llama-features", "partial_rotary_factor", partial_rotary_factor=0.5)
    refused("llama-spiral", "llama-features", "spiral", **rope(rope_type="spiral", factor=2.0))
    both = {"is_causal": False}
    window = {"sliding_window": 16, "use_sliding_window": True, "layer_types": None}
    variant("qwen2-window-unused", "qwen2-last", config={"sliding_window": 16}, removed=["use_sliding_window", "layer_types"])
    variant("qwen2-window-late", "qwen2-last", config={**window, "max_window_layers": 1})
    variant("qwen2-window-later", "qwen2-last", config=window, removed=["max_window_layers"])
    variant("qwen2-window-bidirectional", "qwen2-last", config={**window, **both, "max_window_layers": 1})
    variant("qwen2-layer-types", "qwen2-last", config={**window, "layer_types": ["sliding_attention", "full_attention"]})
    refused("qwen2-layer-types-off", "qwen2-last", "use_sliding_window must be true", sliding_window=16, use_sliding_window=False, layer_types=["sliding_attention"] * 2)
    variant("mistral-bidirectional", "mistral-window", config=both)
    variant("mistral-made-bidirectional", "mistral-window", settings={"attention": "bidirectional"},
            reference=lambda directory: (edit(directory, is_causal=False), hidden(directory))[1])
    variant("mistral-no-window", "mistral-window", config={"sliding_window": None, "use_sliding_window": True})
    variant("mistral-window-unsaid", "mistral-window", removed=["sliding_window"])
    variant("mistral-layer-types", "mistral-window", reference=auto, config={"layer_types": ["sliding_attention", "full_attention"]})
    variant("gemma2-bidirectional", "gemma2-lasttoken", config=both)
    variant("gemma2-pattern", "gemma2-lasttoken", config={"sliding_window_pattern": 3}, removed=["layer_types"])
    variant("gemma3-is-causal", "embeddinggemma", config={**both, "use_bidirectional_attention": False})
    variant("gemma3-both-keys", "embeddinggemma", config=both)
    variant("gemma3-pattern", "embeddinggemma", config={"_sliding_window_pattern": 3}, removed=["layer_types"])
    variant("gemma3-flat-rope", "embeddinggemma", config={"rope_parameters": {"rope_type": "default", "rope_theta": 5e4}})
    variant("gemma3-old", "embeddinggemma", removed=["layer_types", "rope_parameters"], config={
        "sliding_window_pattern": 3, "rope_theta": 5e4, "rope_local_base_freq": 300.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}})
    refused("gemma3-soft-cap", "embeddinggemma", "attn_logit_softcapping must be null", attn_logit_softcapping=2.0)
    # Gemma's tensors are called as Llama's.
    gemma = {"architectures": ["GemmaModel"], "model_type": "gemma"}
    variant("gemma-gelu", "llama-features", config={**gemma, "hidden_act": "gelu"})
    variant("gemma-silu", "llama-features", config={**gemma, "hidden_act": "silu"})
    refused("gemma-two-activations", "llama-features", "must not differ", **gemma, hidden_act="gelu", hidden_activation="relu")


def edit(directory, **keys):
    file = directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


# ---------------------------------------------------------------- heads
def heads():
    three = {"id2label": {str(i): f"LABEL_{i}" for i in range(3)}, "label2id": {f"LABEL_{i}": i for i in range(3)}}

    def classes(name, model, architecture, shapes, task="classify", **config):
        variant(name, model, task, logits, head=shapes, config={"architectures": [architecture], **three, **config})

    def linear(name, out, into):
        return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}

    def normed(name, size):
        return {f"{name}.weight": (size,), f"{name}.bias": (size,)}

    # The tokenizer ends every text with the token that is the padding's too.
    classes("qwen2-classify-padding", "qwen2-last", "Qwen2ForSequenceClassification", {"score.weight": (3, 48)}, pad_token_id=0)
    classes("qwen2-classify", "qwen2-last", "Qwen2ForSequenceClassification", {"score.weight": (3, 48)}, pad_token_id=None)
    classes("gemma2-tokens", "gemma2-lasttoken", "Gemma2ForTokenClassification", linear("score", 3, 48), "token_classify")
    classes("nomic-classify", "nomic-bert", "NomicBertForSequenceClassification", {**linear("pooler.dense", 48, 48), **linear("classifier", 3, 48)})
    classes("nomic-tokens", "nomic-bert", "NomicBertForTokenClassification", linear("classifier", 3, 48), "token_classify")
    classes("jina-v3-classify", "jina-v3-native", "JinaEmbeddingsV3ForSequenceClassification",
            {**linear("classifier.dense", 48, 48), **linear("classifier.out_proj", 3, 48)})
    classes("jina-v3-tokens", "jina-v3-native", "JinaEmbeddingsV3ForTokenClassification", linear("classifier", 3, 48), "token_classify")
    classes("t5-tokens", "t5-encoder", "T5ForTokenClassification", linear("classifier", 3, 48), "token_classify", decoder_start_token_id=0)

    def vocabulary(name, model, architecture, shapes, **config):
        variant(name, model, "sparse", splade, head=shapes, config={"architectures": [architecture], **config})

    vocabulary("mpnet-sparse", "mpnet", "MPNetForMaskedLM", {**linear("lm_head.dense", 48, 48), **normed("lm_head.layer_norm", 48), "lm_head.bias": (1802,)})
    vocabulary("jina-v3-sparse", "jina-v3-native", "JinaEmbeddingsV3ForMaskedLM",
               {**linear("lm_head.dense", 48, 48), **normed("lm_head.layer_norm", 48), "lm_head.bias": (1802,)})
    vocabulary("gte-sparse", "gte-new", "GteForMaskedLM", {**linear("lm_head.dense", 48, 48), **normed("lm_head.norm", 48), "lm_head.decoder.bias": (1802,)})
    vocabulary("electra-sparse", "electra", "ElectraForMaskedLM",
               {**linear("generator_predictions.dense", 32, 48), **normed("generator_predictions.LayerNorm", 32), "generator_lm_head.bias": (1500,)})
    vocabulary("albert-sparse", "albert", "AlbertForMaskedLM", {**linear("predictions.dense", 32, 48), **normed("predictions.LayerNorm", 32), "predictions.bias": (1802,)})
    vocabulary("nomic-sparse", "nomic-bert", "NomicBertForMaskedLM",
               {**linear("cls.predictions.transform.dense", 48, 48), **normed("cls.predictions.transform.layer_norm", 48), "cls.predictions.bias": (1500,)})
    deberta = json.loads((MODELS / "deberta-v2-reranker" / "config.json").read_text())["vocab_size"]
    vocabulary("deberta-sparse", "deberta-v2-reranker", "DebertaV2ForMaskedLM",
               {**linear("cls.predictions.transform.dense", 48, 48), **normed("cls.predictions.transform.LayerNorm", 48), "cls.predictions.bias": (deberta,)})
    vocabulary("eurobert-sparse", "eurobert", "EuroBertForMaskedLM", {"lm_head.weight": (1300, 48)})
    # The decoder's own bias counts where nothing is tied.
    vocabulary("bert-sparse-untied", "bert-splade", "BertForMaskedLM", {"cls.predictions.decoder.weight": (1500, 48), "cls.predictions.decoder.bias": (1500,)},
               tie_word_embeddings=False)

    scores = {"modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
                               {"idx": 1, "name": "1", "path": "1_LogitScore", "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"}],
              "1_LogitScore/config.json": {"true_token_id": 50, "false_token_id": 77, "module_input_name": "causal_logits"},
              "sentence_bert_config.json": {"transformer_task": "text-generation", "module_output_name": "causal_logits"}}
    score = transformers_model("Gemma2ForCausalLM", lambda out: (out.logits[0, -1, 50] - out.logits[0, -1, 77]).reshape(1))
    variant("gemma2-score", "gemma2-lasttoken", "score", score, inputs=PAIRS, files=scores, settings={"template": "none"},
            config={"architectures": ["Gemma2ForCausalLM"], "final_logit_softcapping": 3.0})


# ---------------------------------------------------------------- sentence-transformers' modules
def odd_positions():
    """DeBERTa's positions where buckets and distances do not fit each other: then the index of the table rises and falls."""
    deberta = "deberta-v2-reranker"
    for name, config in {
        "fewer-distances": {"max_relative_positions": 25},
        "as-many-distances": {"max_relative_positions": 32},
        "one-distance-more": {"max_relative_positions": 33},
        "next-distance": {"max_relative_positions": 34},
        "one-distance": {"max_relative_positions": 1},
        "many-distances": {"max_relative_positions": 3000, "pos_att_type": " C2P | p2c"},
        "no-buckets": {"max_relative_positions": 64, "position_buckets": -7, "pos_att_type": ["c2p"]},
        "no-buckets-but-zero": {"max_relative_positions": 64, "position_buckets": 0, "pos_att_type": "p2c"},
        "norm-of-names": {"max_relative_positions": -9, "norm_rel_ebd": "None | LAYER_NORM"},
    }.items():
        variant("deberta-" + name, deberta, config={"architectures": ["DebertaV2Model"], **config})
    own = {f"deberta.encoder.layer.{i}.attention.self.{name}.{part}": shape for i in (0, 1) for name in ("pos_key_proj", "pos_query_proj")
           for part, shape in (("weight", (48, 48)), ("bias", (48,)))}
    variant("deberta-own-keys", deberta, config={"architectures": ["DebertaV2Model"], "share_att_key": False, "max_relative_positions": 20}, head=own)
    refused("deberta-one-bucket", "deberta-v2-reranker", "position_buckets must be 2 or more", position_buckets=1)
    refused("deberta-other-table", "deberta-v2-reranker", "rel_embeddings", position_buckets=0)
    refused("deberta-no-terms", "deberta-v2-reranker", "pos_att_type must have c2p or p2c", pos_att_type=[])
    refused("deberta-unknown-term", "deberta-v2-reranker", "pos_att_type has \"p2p\"", pos_att_type="c2p|p2p")
    refused("t5-distances", "t5-encoder", "distances beyond a quarter of their number", relative_attention_max_distance=8)


def modules():
    home = {"Transformer": "base.modules.transformer", "Dense": "base.modules.dense", "Normalize": "base.modules.normalize",
            "Pooling": "sentence_transformer.modules.pooling", "SpladePooling": "sparse_encoder.modules.splade_pooling"}

    def listed(*names):
        return [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{name}", "type": f"sentence_transformers.{home[name]}.{name}"} for i, name in enumerate(names)]

    def settings(model_type, **keys):
        return {"model_type": model_type, "prompts": {}, "default_prompt_name": None, **keys}

    def sentence(directory):
        model = ST.SentenceTransformer(str(directory), device="cpu")
        if hasattr(model[0], "auto_model"):
            model.max_seq_length = LENGTH
        return lambda text: model.encode([text], convert_to_tensor=True)[0].cpu()

    def dense(out, into, bias=True, activation="linear.Identity", **more):
        return {"in_features": into, "out_features": out, "bias": bias, "activation_function": f"torch.nn.modules.{activation}", **more}

    def matrices(**shapes):
        torch.manual_seed(len(SPECS))
        return {name.replace("__", "."): torch.randn(shape) * 0.2 for name, shape in shapes.items()}

    variant("normalize-between", "bert-mean", "embed", sentence, files={
        "modules.json": listed("Transformer", "Pooling", "Normalize", "Dense"), "3_Dense/config.json": dense(24, 48, activation="activation.SiLU"),
        "3_Dense/model.safetensors": matrices(linear__weight=(24, 48), linear__bias=(24,))})
    variant("dense-residual", "bert-mean", "embed", sentence, files={
        "modules.json": listed("Transformer", "Pooling", "Dense", "Dense"), "2_Dense/config.json": dense(48, 48, use_residual=True),
        "2_Dense/model.safetensors": matrices(linear__weight=(48, 48), linear__bias=(48,)), "3_Dense/config.json": dense(24, 48, False, use_residual=True),
        "3_Dense/model.safetensors": matrices(linear__weight=(24, 48), residual__weight=(24, 48))})
    variant("truncate-dim", "bert-mean", "embed", sentence, files={"config_sentence_transformers.json": settings("SentenceTransformer", truncate_dim=20)})
    refused("dense-activation", "bert-max-dense", "activation_function", "embed")
    (OUT / "dense-activation" / "2_Dense").mkdir(parents=True)
    (OUT / "dense-activation" / "2_Dense" / "config.json").write_text(json.dumps(dense(40, 48, activation="activation.Mish")))

    def sparse(directory):
        model = ST.SparseEncoder(str(directory), device="cpu")
        model.max_seq_length = LENGTH
        return lambda text: model.encode([text], convert_to_tensor=True, convert_to_sparse_tensor=False)[0].cpu()

    fill_mask = {"transformer_task": "fill-mask", "module_output_name": "token_embeddings", "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}
    for name, pooling, more in (("splade-sum", {"pooling_strategy": "sum", "activation_function": "relu"}, {}),
                                ("splade-log-twice", {"pooling_strategy": "max", "activation_function": "log1p_relu"}, {}),
                                ("splade-few", {"pooling_strategy": "max", "activation_function": "relu"}, {"max_active_dims": 12})):
        variant(name, "bert-splade", "sparse", sparse, files={
            "modules.json": listed("Transformer", "SpladePooling"), "1_SpladePooling/config.json": {**pooling, "embedding_dimension": None},
            "sentence_bert_config.json": fill_mask, "config_sentence_transformers.json": settings("SparseEncoder", **more)})

    def cross(directory):
        model = ST.CrossEncoder(str(directory), device="cpu", max_length=LENGTH)
        return lambda pair: torch.tensor(model.predict([tuple(pair)])[0]).reshape(-1)

    classifies = {"transformer_task": "sequence-classification", "module_output_name": "scores", "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}
    for name, model, task, activation, more in (("cross-encoder-sigmoid", "bert-cross-encoder", "score", "activation.Sigmoid", {}),
                                                ("cross-encoder-identity", "bert-cross-encoder", "score", "linear.Identity", {}),
                                                ("cross-encoder-classes", "bert-classify", "classify", "linear.Identity", {}),
                                                ("cross-encoder-prompt", "bert-cross-encoder", "score", "activation.Sigmoid", {"prompts": {"q": "query: "}, "default_prompt_name": "q"})):
        variant(name, model, task, cross, inputs=PAIRS, output="score" if task == "score" else "probs", files={
            "modules.json": listed("Transformer"), "sentence_bert_config.json": classifies,
            "config_sentence_transformers.json": {**settings("CrossEncoder", activation_fn=f"torch.nn.modules.{activation}"), **more}})

    def tokenizer(model, **keys):
        return {**json.loads((MODELS / model / "tokenizer_config.json").read_text()), **keys}

    def cut(directory):
        model = ST.SentenceTransformer(str(directory), device="cpu")
        model.max_seq_length = 12
        return lambda text: model.encode([text], convert_to_tensor=True)[0].cpu()

    variant("cut-at-the-beginning", "bert-mean", "embed", cut, settings={"max-length": "12"}, files={
        "tokenizer_config.json": tokenizer("bert-mean", truncation_side="left")})
    variant("no-segments", "bert-cross-encoder", "score", cross, inputs=PAIRS, output="score", files={
        "tokenizer_config.json": tokenizer("bert-cross-encoder", model_input_names=["input_ids", "attention_mask"])})


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for part in (encoders, decoders, heads, modules, odd_positions):
        part()
    save_file(ANSWERS, OUT / "golden.safetensors")
    (OUT / "variants.json").write_text(json.dumps({"reference": f"transformers {T.__version__}, sentence-transformers {ST.__version__}, torch {torch.__version__}",
                                                   "variants": SPECS}, indent=1, ensure_ascii=False) + "\n")
    print(len(SPECS), "variants", sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) // 1024, "KiB")
