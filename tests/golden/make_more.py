#!/usr/bin/env python3
"""Golden checkpoints beyond the first 33, with the tokenizers and the inputs of those: tiny random weights, and what the reference answers.

usage: make_more.py [NAME ...]        needs torch, transformers >= 5.23 and safetensors

The reference is transformers where it has the architecture. Where it has not (Jina's BERT, Nomic's experts) it is a few lines of torch below,
written from the published formulas. Float32 on a CPU, every input alone.
"""
import json
import math
import pathlib
import re
import shutil
import sys

import torch
import tokenizers
import torch.nn.functional as F
import transformers as T
from safetensors.torch import load_file, save_file

MODELS = pathlib.Path(__file__).resolve().parent / "models"
SPECS = {}


def spec(function):
    SPECS[function.__name__.replace("_", "-")] = function
    return function


def shake(model):
    """The default weights are too tame to catch a swapped norm or a missing bias."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.dim() == 1 else 0.08))
    return model.eval().float()


def random_tensors(shapes):
    out = {}
    for name, shape in shapes.items():
        norm = re.search(r"(LayerNorm|layernorm|layer_norm\w*|norm\d|emb_ln)\.weight$", name)
        out[name] = torch.randn(shape) * (0.2 if len(shape) == 1 else 0.12) + (1.0 if norm else 0.0)
    return out


class Checkpoint:
    """A directory with the tokenizer, inputs and sentence-transformers files of `like`."""

    def __init__(self, name, like):
        self.directory, self.like = MODELS / name, MODELS / like
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        for file in ("tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
            if (self.like / file).exists():
                shutil.copy(self.like / file, self.directory / file)
        if (self.like / "1_Pooling").exists():
            shutil.copytree(self.like / "1_Pooling", self.directory / "1_Pooling")
        self.golden = json.loads((self.like / "golden.json").read_text())
        self.vocabulary = json.loads((self.like / "config.json").read_text())["vocab_size"]

    def write_json(self, name, value):
        (self.directory / name).write_text(json.dumps(value, indent=1))

    def record(self, outputs, reference=None, ids=None):
        """outputs(ids, i) -> {name: array} for one input; hidden only for the first."""
        arrays = {}
        ids = ids or self.golden["ids"]
        with torch.no_grad():
            for i, row in enumerate(ids):
                if row:
                    arrays.update({f"{k}.{i}": v.clone().contiguous() for k, v in outputs(row, i).items() if k != "hidden" or i < 4})
        save_file(arrays, self.directory / "golden.safetensors")
        kinds = {}
        for key, value in arrays.items():
            kinds.setdefault(key.split(".")[0], list(value.shape))
        reference = reference or f"transformers {T.__version__}, torch {torch.__version__}"
        golden = {**self.golden, "ids": ids, "outputs": kinds, "reference": reference}
        (self.directory / "golden.json").write_text(json.dumps(golden, ensure_ascii=False))
        size = sum(f.stat().st_size for f in self.directory.rglob("*") if f.is_file())
        print(self.directory.name, size // 1024, "KiB", kinds)


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def pooled(h, mode):
    vector = {"mean": lambda: h.mean(0), "cls": lambda: h[0], "lasttoken": lambda: h[-1]}[mode]()
    return {"hidden": h, "embedding": unit(vector)}


def run(model, row, **more):
    return model(input_ids=torch.tensor([row]), **more)


def save_transformers(checkpoint, model, architecture):
    model.config.architectures = [architecture]
    model.save_pretrained(checkpoint.directory)


# ---------------------------------------------------------------- architectures that transformers has
SMALLER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=56, max_position_embeddings=512)
SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, max_position_embeddings=512)


@spec
def camembert():
    c = Checkpoint("camembert", "xlm-roberta-cls")
    config = T.CamembertConfig(**{**SMALL, "max_position_embeddings": 514}, vocab_size=c.vocabulary, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5)
    model = shake(T.CamembertModel(config))
    save_transformers(c, model, "CamembertModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "cls"))


@spec
def mt5_encoder():
    c = Checkpoint("mt5-encoder", "t5-encoder")
    config = T.MT5Config(vocab_size=c.vocabulary, d_model=48, d_kv=16, d_ff=80, num_layers=2, num_heads=4, pad_token_id=1)
    model = shake(T.MT5EncoderModel(config))
    save_transformers(c, model, "MT5EncoderModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "mean"))


@spec
def eurobert():
    c = Checkpoint("eurobert", "modernbert")
    config = T.EuroBertConfig(**SMALL, vocab_size=c.vocabulary, num_key_value_heads=2, pad_token_id=3, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
    config._attn_implementation = "eager"
    model = shake(T.EuroBertModel(config))
    save_transformers(c, model, "EuroBertModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "cls"))


@spec
def deberta_conv():
    """DeBERTa-v2-xlarge's convolution behind the first layer."""
    c = Checkpoint("deberta-conv", "deberta-v2-reranker")
    config = T.AutoConfig.from_pretrained(c.like, num_hidden_layers=3, conv_kernel_size=3, conv_act="gelu")
    config._attn_implementation = "eager"
    model = shake(T.DebertaV2ForSequenceClassification(config))
    save_transformers(c, model, "DebertaV2ForSequenceClassification")
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})


def entity_finder(name, like, model_class, config):
    """The classes of tokens, and in entities.json what the pipeline makes of them under every strategy."""
    c = Checkpoint(name, like)
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (c.directory / file).unlink(missing_ok=True)
    shutil.rmtree(c.directory / "1_Pooling", ignore_errors=True)
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    config.num_labels, config.id2label, config.label2id = 5, dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    config._attn_implementation = "eager"
    model = shake(model_class(config))
    save_transformers(c, model, model_class.__name__)
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})
    tokenizer = T.AutoTokenizer.from_pretrained(c.directory, model_max_length=c.golden["max_length"])
    found = {}
    for strategy in ("none", "simple", "first", "average", "max"):
        pipeline = T.pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy)
        found[strategy] = [[{"label": e.get("entity", e.get("entity_group")), "score": float(e["score"]), "start": e["start"], "end": e["end"]}
                            for e in (pipeline(text) if text.strip() else [])] for text in c.golden["inputs"]]
    (c.directory / "entities.json").write_text(json.dumps(found))
    print({strategy: sum(map(len, lists)) for strategy, lists in found.items()})


@spec
def bert_ner_words():
    """Words by the mark of the tokens inside of them."""
    vocabulary = json.loads((MODELS / "bert-ner" / "config.json").read_text())["vocab_size"]
    entity_finder("bert-ner-words", "bert-ner", T.BertForTokenClassification, T.BertConfig(**SMALLER, vocab_size=vocabulary))


@spec
def xlm_roberta_ner():
    """Words by the blank before them."""
    vocabulary = json.loads((MODELS / "xlm-roberta-cls" / "config.json").read_text())["vocab_size"]
    config = T.XLMRobertaConfig(**{**SMALLER, "max_position_embeddings": 514}, vocab_size=vocabulary, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5)
    entity_finder("xlm-roberta-ner", "xlm-roberta-cls", T.XLMRobertaForTokenClassification, config)


def eurobert_classifier(name, pooling, like, labels):
    c = Checkpoint(name, like)
    c.vocabulary = json.loads((MODELS / like / "config.json").read_text())["vocab_size"]
    config = T.EuroBertConfig(**SMALLER, vocab_size=c.vocabulary, num_key_value_heads=2, pad_token_id=3, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5,
                              num_labels=labels, classifier_pooling=pooling)
    config._attn_implementation = "eager"
    model = shake(T.EuroBertForSequenceClassification(config))
    save_transformers(c, model, "EuroBertForSequenceClassification")
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})


@spec
def eurobert_late():
    """The mean of the tokens' logits, which is what its config says unless it says another."""
    eurobert_classifier("eurobert-late", "late", "modernbert-reranker", 1)


@spec
def eurobert_bos():
    eurobert_classifier("eurobert-bos", "bos", "modernbert-reranker", 1)


@spec
def llama_bidirectional_reranker():
    """Llama-Nemotron's reranker: the mean of Llama's hidden states without the causal mask, and one row of weights (LlamaBidirectionalForSequenceClassification)."""
    c = Checkpoint("llama-bidirectional-reranker", "modernbert-reranker")
    config = T.LlamaConfig(**SMALLER, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, num_labels=1, pad_token_id=3)
    config._attn_implementation = "eager"
    model = shake(T.LlamaForSequenceClassification(config))
    save_transformers(c, model, "LlamaBidirectionalForSequenceClassification")
    written = json.loads((c.directory / "config.json").read_text())
    written.update(architectures=["LlamaBidirectionalForSequenceClassification"], model_type="llama_bidirec", pooling="avg", temperature=0.8)
    c.write_json("config.json", written)
    for layer in model.model.layers:
        layer.self_attn.is_causal = False

    def logits(row, i):
        hidden = run(model.model, row, attention_mask=torch.zeros(1, 1, len(row), len(row))).last_hidden_state[0]
        return {"logits": model.score(hidden.mean(0)) / 0.8}

    c.record(logits)


@spec
def llama_bidirectional():
    """Llama-Nemotron's embedder: LlamaBidirectionalModel is Llama without the causal mask; mean pooling."""
    c = Checkpoint("llama-bidirectional", "llm2vec-mistral")
    config = T.LlamaConfig(**SMALL, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, is_causal=False)
    config._attn_implementation = "eager"
    model = shake(T.LlamaModel(config))
    save_transformers(c, model, "LlamaBidirectionalModel")
    written = json.loads((c.directory / "config.json").read_text())
    written.pop("is_causal", None)
    written.update(architectures=["LlamaBidirectionalModel"], model_type="llama_bidirec", pooling="avg")
    c.write_json("config.json", written)
    for layer in model.layers:
        layer.self_attn.is_causal = False

    def both(row):
        mask = torch.zeros(1, 1, len(row), len(row))
        return run(model, row, attention_mask=mask).last_hidden_state[0]

    if len(c.golden["ids"][2]) > 2:  # the mask does what it should
        with torch.no_grad():
            row = c.golden["ids"][2]
            assert (both(row)[0] - both(row[:-1] + [7])[0]).abs().max() > 1e-4
    c.record(lambda row, i: pooled(both(row), "mean"))


@spec
def jina_v3_native():
    c = Checkpoint("jina-v3-native", "xlm-roberta-cls")
    shutil.rmtree(c.directory / "1_Pooling")
    shutil.copytree(MODELS / "roberta-mean" / "1_Pooling", c.directory / "1_Pooling")
    config = T.JinaEmbeddingsV3Config(**{**SMALL, "max_position_embeddings": 514}, vocab_size=c.vocabulary)
    config._attn_implementation = "eager"
    model = shake(T.JinaEmbeddingsV3Model(config))
    save_transformers(c, model, "JinaEmbeddingsV3Model")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "mean"))


# ---------------------------------------------------------------- adapters
def write_adapter(directory, model, r, alpha, targets, base, rslora=False):
    """Random PEFT files for the model's modules of these names; returns the merged weights."""
    directory.mkdir(exist_ok=True)
    tensors, state = {}, model.state_dict()
    scale = alpha / (math.sqrt(r) if rslora else r)
    for name, module in model.named_modules():
        if name.split(".")[-1] not in targets:
            continue
        front = f"base_model.model.{name}"
        if isinstance(module, torch.nn.Embedding):
            a, b = torch.randn(r, module.num_embeddings) * 0.1, torch.randn(module.embedding_dim, r) * 0.1
            tensors[f"{front}.lora_embedding_A"], tensors[f"{front}.lora_embedding_B"] = a, b
            state[f"{name}.weight"] = state[f"{name}.weight"] + scale * (b @ a).T
        else:
            a, b = torch.randn(r, module.in_features) * 0.1, torch.randn(module.out_features, r) * 0.1
            tensors[f"{front}.lora_A.weight"], tensors[f"{front}.lora_B.weight"] = a, b
            state[f"{name}.weight"] = state[f"{name}.weight"] + scale * (b @ a)
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": base, "r": r, "lora_alpha": alpha, "lora_dropout": 0.05,
              "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "init_lora_weights": True, "modules_to_save": None, "rank_pattern": {},
              "alpha_pattern": {}, "use_rslora": rslora, "use_dora": False, "target_modules": sorted(targets), "layers_to_transform": None}
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=1))
    return state


@spec
def lora_llm2vec():
    """LLM2Vec's way: a base, the adapter of the masked training beside it (merged first), then the supervised one, whose base is that."""
    c = Checkpoint("lora-llm2vec", "llm2vec-mistral")
    base = c.directory / "mntp"
    base.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (c.directory / file).rename(base / file)
    config = T.MistralConfig(**SMALL, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, sliding_window=None, pad_token_id=0)
    config._attn_implementation = "eager"
    model = shake(T.MistralModel(config))
    config.architectures = ["MistralEncoderModel"]
    model.save_pretrained(base)
    written = json.loads((base / "config.json").read_text())
    written["auto_map"] = {"AutoModel": "modeling_mistral_encoder.MistralEncoderModel"}
    (base / "config.json").write_text(json.dumps(written, indent=1))
    shutil.copy(base / "config.json", c.directory)
    state = write_adapter(base, model, 4, 8, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, ".")
    model.load_state_dict(state)
    state = write_adapter(c.directory, model, 2, 6, {"q_proj", "v_proj", "down_proj"}, "./mntp", rslora=True)
    model.load_state_dict(state)

    def both(row):
        return run(model, row, attention_mask=torch.zeros(1, 1, len(row), len(row))).last_hidden_state[0]

    c.record(lambda row, i: pooled(both(row), "mean"))


@spec
def llm2vec_instruct():
    """A llm2vec_config.json beside merged weights: the mean of the text's own tokens, in the base's chat marks (llm2vec.py's encode)."""
    c = Checkpoint("llm2vec-instruct", "llm2vec-mistral")
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (c.directory / file).unlink(missing_ok=True)
    shutil.rmtree(c.directory / "1_Pooling")
    # The real ones put nothing behind a text.
    written = json.loads((c.directory / "tokenizer.json").read_text())
    written["post_processor"]["single"] = [part for part in written["post_processor"]["single"] if part.get("SpecialToken", {}).get("id") != "</s>"]
    c.write_json("tokenizer.json", written)
    longest, longest_text = 96, 40
    c.write_json("llm2vec_config.json", {"pooling_mode": "mean", "max_length": longest, "doc_max_length": longest_text, "skip_instruction": True})
    config = T.MistralConfig(**SMALLER, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, sliding_window=None, pad_token_id=0)
    config._attn_implementation = "eager"
    model = shake(T.MistralModel(config))
    save_transformers(c, model, "MistralModel")
    written = json.loads((c.directory / "config.json").read_text())
    written["_name_or_path"] = "mistralai/Mistral-7B-Instruct-v0.2"
    c.write_json("config.json", written)
    tokenizer = tokenizers.Tokenizer.from_file(str(c.directory / "tokenizer.json"))

    def count(text):
        return len(tokenizer.encode(text, add_special_tokens=False).ids[:longest])

    def parts(instruction, text):
        while (tokens := count(text)) > longest_text:
            text = " ".join(text.split()[: int(len(text.split()) * (longest_text / tokens))])
        whole = (f"{instruction.strip()} \0{text}" if instruction else f"\0{text}").strip()
        return ("[INST] " + whole + " [/INST]").split("\0")

    instruction = "Given a question, find what answers it: "
    texts = [t for t in c.golden["inputs"] if "\0" not in t]
    inputs = [("", t) for t in texts] + [(instruction, t) for t in texts[2:7]]
    c.golden["inputs"] = [{"prompt": i, "text": t} if i else t for i, t in inputs]
    c.golden["max_length"] = longest
    rows, own = [], []
    for pair in inputs:
        before, text = parts(*pair)
        rows.append(tokenizer.encode(before + text).ids[:longest])
        own.append(count(text))

    def embedding(row, i):
        hidden = run(model, row, attention_mask=torch.zeros(1, 1, len(row), len(row))).last_hidden_state[0]
        return {"embedding": hidden[-own[i]:].mean(0)}

    c.record(embedding, "transformers, with the formulas of llm2vec 0.2", rows)


@spec
def lora_bert():
    """The names of base and adapter differ in "bert.", and the embedding is adapted too."""
    c = Checkpoint("lora-bert", "bert-mean")
    model = shake(T.BertModel(T.BertConfig(**SMALL, vocab_size=c.vocabulary)))
    save_transformers(c, model, "BertModel")
    state = write_adapter(c.directory, model, 3, 5, {"query", "value", "dense", "word_embeddings"}, "")
    file = c.directory / "adapter_model.safetensors"
    tensors = {k: v for k, v in load_file(file).items() if "pooler" not in k}
    save_file({k.replace("base_model.model.", "base_model.model.bert."): v for k, v in tensors.items()}, file)
    model.load_state_dict(state)
    types = lambda row: torch.zeros(1, len(row), dtype=torch.long)
    c.record(lambda row, i: pooled(run(model, row, token_type_ids=types(row)).last_hidden_state[0], "mean"))


# ---------------------------------------------------------------- formulas
def layer_norm(x, w, name, eps):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)


def linear(x, w, name):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def attend(q, k, v, heads, bias=0.0):
    q, k, v = (t.reshape(t.shape[0], heads, -1).transpose(0, 1) for t in (q, k, v))
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + bias
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(q.shape[1], -1)


def rotate(x, heads, theta):
    """NeoX: the first half of a head's dimensions turns with the second."""
    n, dim = x.shape[0], x.shape[1] // heads
    angles = torch.arange(n)[:, None].float() / theta ** (torch.arange(0, dim, 2).float() / dim)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x.reshape(n, heads, dim).split(dim // 2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).reshape(n, -1)


@spec
def jina_v2():
    """12 heads' slopes are not a plain geometric series: 6 heads here, for the same reason."""
    c = Checkpoint("jina-v2", "bert-mean")
    h, inner, heads, layers = 48, 80, 6, 2
    shapes = {"embeddings.word_embeddings.weight": (c.vocabulary, h), "embeddings.token_type_embeddings.weight": (2, h),
              "embeddings.LayerNorm.weight": (h,), "embeddings.LayerNorm.bias": (h,)}
    for i in range(layers):
        p = f"encoder.layer.{i}."
        for n in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (h, h), (h,)
        shapes[p + "mlp.gated_layers.weight"] = (2 * inner, h)
        shapes[p + "mlp.wo.weight"], shapes[p + "mlp.wo.bias"] = (h, inner), (h,)
        for n in ("attention.output.LayerNorm", "mlp.layernorm"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (h,), (h,)
    w = random_tensors(shapes)
    save_file(w, c.directory / "model.safetensors")
    c.write_json("config.json", {
        "architectures": ["JinaBertModel"], "model_type": "bert", "_name_or_path": "jinaai/jina-bert-implementation", "position_embedding_type": "alibi",
        "feed_forward_type": "geglu", "emb_pooler": "mean", "attn_implementation": None, "hidden_size": h, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": inner, "max_position_embeddings": 8192, "model_max_length": 8192, "vocab_size": c.vocabulary, "type_vocab_size": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0, "torch_dtype": "float32",
        "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}})
    # 4 heads: 2^-2, 2^-4, 2^-6, 2^-8; then the first and the third of 8 heads: 2^-1, 2^-3.
    slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3])

    def hidden(row):
        n = len(row)
        bias = -slopes[:, None, None] * (torch.arange(n)[:, None] - torch.arange(n)[None]).abs()
        x = w["embeddings.word_embeddings.weight"][row] + w["embeddings.token_type_embeddings.weight"][0]
        x = layer_norm(x, w, "embeddings.LayerNorm", 1e-12)
        for i in range(layers):
            p = f"encoder.layer.{i}."
            q, k, v = (linear(x, w, f"{p}attention.self.{n}") for n in ("query", "key", "value"))
            x = layer_norm(x + linear(attend(q, k, v, heads, bias), w, p + "attention.output.dense"), w, p + "attention.output.LayerNorm", 1e-12)
            gate, up = linear(x, w, p + "mlp.gated_layers").split(inner, -1)
            x = layer_norm(x + linear(F.gelu(gate) * up, w, p + "mlp.wo"), w, p + "mlp.layernorm", 1e-12)
        return x

    c.record(lambda row, i: pooled(hidden(row), "mean"), f"the formulas in make_more.py, torch {torch.__version__}")


@spec
def jina_v3():
    """jina-embeddings-v3's own layout, made from the native one's weights; its reference is transformers with the task's weights."""
    native = MODELS / "jina-v3-native"
    c = Checkpoint("jina-v3", "jina-v3-native")
    source = load_file(native / "model.safetensors")
    config = T.AutoConfig.from_pretrained(native)
    h, tasks, rank = config.hidden_size, ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"], 2
    adapted = ("word_embeddings", "token_type_embeddings", "Wqkv", "out_proj", "fc1", "fc2", "pooler.dense")
    w = {f"roberta.{n.removesuffix('.weight')}": v for n, v in source.items() if n.removesuffix(".weight").endswith(adapted)}
    plain = {f"roberta.{n}": v for n, v in source.items() if f"roberta.{n.removesuffix('.weight')}" not in w}
    task, merged = tasks.index("text-matching"), {}
    for name, value in w.items():
        out, inner = value.shape
        embedding = "embeddings" in name
        a = torch.randn((len(tasks), out, rank) if embedding else (len(tasks), rank, inner)) * 0.15
        b = torch.randn((len(tasks), rank, inner) if embedding else (len(tasks), out, rank)) * 0.15
        plain[f"{name}.parametrizations.weight.original"] = value
        plain[f"{name}.parametrizations.weight.0.lora_A"], plain[f"{name}.parametrizations.weight.0.lora_B"] = a, b
        merged[name] = value + 1 / rank * (a[task] @ b[task] if embedding else b[task] @ a[task])
    save_file({k: v.contiguous() for k, v in plain.items()}, c.directory / "model.safetensors")
    instructions = {"classification": "", "retrieval.passage": "Represent the document for retrieval: ",
                    "retrieval.query": "Represent the query for retrieving evidence documents: ", "separation": "", "text-matching": ""}
    c.write_json("config.json", {
        "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "position_embedding_type": "rotary", "rotary_emb_base": 20000.0,
        "hidden_size": h, "num_hidden_layers": config.num_hidden_layers, "num_attention_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size, "max_position_embeddings": 514, "vocab_size": c.vocabulary, "type_vocab_size": 1,
        "hidden_act": "gelu", "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "torch_dtype": "bfloat16",
        "lora_adaptations": tasks, "lora_alpha": 1, "lora_dropout_p": 0.0, "lora_main_params_trainable": False, "lora_rank": rank,
        "load_trained_adapters": True, "matryoshka_dimensions": [32], "task_instructions": instructions, "use_flash_attn": True, "use_reentrant": False,
        "auto_map": {"AutoModel": "jinaai/xlm-roberta-flash-implementation--modeling_lora.XLMRobertaLoRA"}})
    settings = json.loads((c.directory / "config_sentence_transformers.json").read_text())
    settings.update(default_prompt_name="text-matching", prompts=instructions)  # so that the tests need no setting
    c.write_json("config_sentence_transformers.json", settings)
    model = T.JinaEmbeddingsV3Model.from_pretrained(native, attn_implementation="eager").eval()
    state = model.state_dict()
    state["embeddings.word_embeddings.weight"] = merged["roberta.embeddings.word_embeddings"]
    state["embeddings.token_type_embeddings.weight"] = merged["roberta.embeddings.token_type_embeddings"]
    for i in range(config.num_hidden_layers):
        old, new = f"layers.{i}.", f"roberta.encoder.layers.{i}."
        for n, part in zip("qkv", merged[new + "mixer.Wqkv"].split(h)):
            state[f"{old}self_attn.{n}_proj.weight"] = part
        for a, b in (("self_attn.o_proj", "mixer.out_proj"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            state[old + a + ".weight"] = merged[new + b]
    model.load_state_dict(state)
    assert model.config.rope_parameters["rope_theta"] == 20000.0
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "mean"))


@spec
def nomic_moe():
    c = Checkpoint("nomic-moe", "xlm-roberta-cls")
    shutil.rmtree(c.directory / "1_Pooling")
    shutil.copytree(MODELS / "roberta-mean" / "1_Pooling", c.directory / "1_Pooling")
    h, inner, heads, layers, experts, top = 48, 80, 4, 2, 4, 2
    rows = (c.vocabulary + 63) // 64 * 64
    shapes = {"embeddings.word_embeddings.weight": (rows, h), "embeddings.token_type_embeddings.weight": (1, h), "emb_ln.weight": (h,), "emb_ln.bias": (h,)}
    for i in range(layers):
        p = f"encoder.layers.{i}."
        shapes[p + "attn.Wqkv.weight"], shapes[p + "attn.Wqkv.bias"] = (3 * h, h), (3 * h,)
        shapes[p + "attn.out_proj.weight"], shapes[p + "attn.out_proj.bias"] = (h, h), (h,)
        for n in ("norm1", "norm2"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (h,), (h,)
        if i % 2 == 1:
            shapes[p + "mlp.router.layer.weight"] = (experts, h)
            shapes[p + "mlp.experts.mlp.w1"], shapes[p + "mlp.experts.mlp.w2"] = (experts * inner, h), (experts * inner, h)
            shapes[p + "mlp.experts.bias"] = (h,)
        else:
            shapes[p + "mlp.fc1.weight"], shapes[p + "mlp.fc1.bias"] = (inner, h), (inner,)
            shapes[p + "mlp.fc2.weight"], shapes[p + "mlp.fc2.bias"] = (h, inner), (h,)
    w = random_tensors(shapes)
    save_file(w, c.directory / "model.safetensors")
    c.write_json("config.json", {
        "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "activation_function": "gelu", "n_embd": h, "n_layer": layers, "n_head": heads,
        "n_inner": inner, "n_positions": 2048, "max_trained_positions": 2048, "vocab_size": c.vocabulary, "pad_vocab_size_multiple": 64, "type_vocab_size": 1,
        "layer_norm_epsilon": 1e-5, "prenorm": False, "parallel_block": False, "rotary_emb_base": 10000.0, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "qkv_proj_bias": True, "mlp_fc1_bias": True,
        "mlp_fc2_bias": True, "use_rms_norm": None, "causal": False, "num_experts": experts, "moe_top_k": top, "moe_every_n_layers": 2,
        "moe_normalize_expert_weights": False, "moe_impl": "megablocks", "moe_resid_pdrop": 0.0, "num_shared_experts": 0, "expert_choice_router": False,
        "ffn_div": 1, "torch_dtype": "float32", "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"}})

    def feed_forward(x, p):
        if p + "mlp.fc1.weight" in w:
            return linear(F.gelu(linear(x, w, p + "mlp.fc1")), w, p + "mlp.fc2")
        weights, chosen = linear(x, w, p + "mlp.router.layer").softmax(-1).topk(top, -1)
        w1, w2 = (w[f"{p}mlp.experts.mlp.{n}"].reshape(experts, inner, h) for n in ("w1", "w2"))
        out = torch.zeros_like(x)
        for t in range(len(x)):
            for weight, e in zip(weights[t], chosen[t]):
                out[t] += weight * (F.gelu(x[t] @ w1[e].T) @ w2[e])
        return out + w[p + "mlp.experts.bias"]

    def hidden(row):
        x = w["embeddings.word_embeddings.weight"][row] + w["embeddings.token_type_embeddings.weight"][0]
        x = layer_norm(x, w, "emb_ln", 1e-5)
        for i in range(layers):
            p = f"encoder.layers.{i}."
            q, k, v = linear(x, w, p + "attn.Wqkv").split(h, -1)
            q, k = rotate(q, heads, 10000.0), rotate(k, heads, 10000.0)
            x = layer_norm(x + linear(attend(q, k, v, heads), w, p + "attn.out_proj"), w, p + "norm1", 1e-5)
            x = layer_norm(x + feed_forward(x, p), w, p + "norm2", 1e-5)
        return x

    c.record(lambda row, i: pooled(hidden(row), "mean"), f"the formulas in make_more.py, torch {torch.__version__}")


@spec
def gte_ntk():
    """Alibaba's own config, with the fixed NTK scaling of gte-multilingual: base * factor, then / factor^(2 / dim)."""
    c = Checkpoint("gte-ntk", "gte-new")
    config = T.AutoConfig.from_pretrained(MODELS / "gte-new")
    theta, factor, dim = 20000.0, 8.0, config.hidden_size // config.num_attention_heads
    model = T.GteModel.from_pretrained(MODELS / "gte-new", attn_implementation="eager").eval()
    frequencies = 1.0 / (theta * factor) ** (torch.arange(0, dim, 2).float() / dim) / factor ** (2 / dim)
    model.rotary_emb.inv_freq = frequencies
    shutil.copy(MODELS / "gte-new" / "model.safetensors", c.directory / "model.safetensors")
    written = json.loads((MODELS / "gte-new" / "config.json").read_text())
    written.pop("rope_parameters")
    written.update(architectures=["NewModel"], model_type="new", rope_theta=theta, rope_scaling={"type": "ntk", "factor": factor}, pack_qkv=True,
                   position_embedding_type="rope", layer_norm_type="layer_norm", logn_attention_scale=False, logn_attention_clip1=False)
    c.write_json("config.json", written)
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "cls"))


# ---------------------------------------------------------------- tables of vectors
def static(name, layout):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    c = Checkpoint(name, "bert-mean")
    shutil.rmtree(c.directory)
    table = torch.randn(c.vocabulary, 32)
    tokenizer = Tokenizer.from_file(str(c.like / "tokenizer.json"))
    if layout == "sentence-transformers":
        SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu").save(str(c.directory))
        (c.directory / "README.md").unlink(missing_ok=True)
    else:
        c.directory.mkdir()
        tokenizer.save(str(c.directory / "tokenizer.json"))
        save_file({"embeddings": table.half()}, c.directory / "model.safetensors")
        c.write_json("config.json", {"model_type": "model2vec", "architectures": ["StaticModel"], "tokenizer_name": "baai/bge-base-en-v1.5",
                                     "apply_pca": 32, "apply_zipf": True, "hidden_dim": 32, "seq_length": 1000000, "normalize": True})
        c.write_json("modules.json", [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
                                      {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}])
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in c.golden["inputs"]]
    keep = [i for i, row in enumerate(ids) if row]
    c.golden.update(inputs=[c.golden["inputs"][i] for i in keep], max_length=4096, special_tokens=False)
    if layout == "sentence-transformers":
        vectors = SentenceTransformer(str(c.directory), device="cpu").encode(c.golden["inputs"], convert_to_tensor=True).cpu()
    else:  # sentence-transformers keeps float16; float32 is what is compared with
        modules = [StaticEmbedding(tokenizer, embedding_weights=table.half().float()), Normalize()]
        vectors = SentenceTransformer(modules=modules, device="cpu").encode(c.golden["inputs"], convert_to_tensor=True).cpu()
    import sentence_transformers
    c.record(lambda row, i: {"embedding": vectors[i]}, f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}",
             [ids[i] for i in keep])


@spec
def static_embedding():
    static("static-embedding", "sentence-transformers")


@spec
def model2vec():
    static("model2vec", "model2vec")


# ---------------------------------------------------------------- later ones, behind the others: the seeds are by position
@spec
def jina_v2_code():
    """jina-embeddings-v2-base-code: norms of all heads' queries and of all keys together, and one more norm around the attention."""
    c = Checkpoint("jina-v2-code", "roberta-mean")
    h, inner, heads, layers = 48, 80, 6, 2
    shapes = {"embeddings.word_embeddings.weight": (c.vocabulary, h), "embeddings.token_type_embeddings.weight": (2, h),
              "embeddings.LayerNorm.weight": (h,), "embeddings.LayerNorm.bias": (h,)}
    for i in range(layers):
        p = f"encoder.layer.{i}."
        for n in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (h, h), (h,)
        shapes[p + "mlp.up_gated_layer.weight"] = (2 * inner, h)
        shapes[p + "mlp.down_layer.weight"], shapes[p + "mlp.down_layer.bias"] = (h, inner), (h,)
        for n in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "attention.output.LayerNorm", "layer_norm_1", "layer_norm_2"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (h,), (h,)
    w = random_tensors(shapes)
    save_file({f"bert.{k}": v for k, v in w.items()}, c.directory / "model.safetensors")
    code = "jinaai/jina-bert-v2-qk-post-norm"
    c.write_json("config.json", {
        "architectures": ["JinaBertForMaskedLM"], "model_type": "bert", "_name_or_path": code, "position_embedding_type": "alibi", "feed_forward_type": "geglu",
        "emb_pooler": "mean", "attn_implementation": "torch", "hidden_size": h, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": inner, "max_position_embeddings": 8192, "vocab_size": c.vocabulary, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "torch_dtype": "float16", "auto_map": {"AutoModel": f"{code}--modeling_bert.JinaBertModel"}})
    slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3])

    def hidden(row):
        n = len(row)
        bias = -slopes[:, None, None] * (torch.arange(n)[:, None] - torch.arange(n)[None]).abs()
        x = w["embeddings.word_embeddings.weight"][row] + w["embeddings.token_type_embeddings.weight"][0]
        x = layer_norm(x, w, "embeddings.LayerNorm", 1e-12)
        for i in range(layers):
            p = f"encoder.layer.{i}."
            q, k, v = (linear(x, w, f"{p}attention.self.{n}") for n in ("query", "key", "value"))
            q, k = (layer_norm(t, w, f"{p}attention.self.layer_norm_{n}", 1e-12) for t, n in ((q, "q"), (k, "k")))
            attended = linear(attend(q, k, v, heads, bias), w, p + "attention.output.dense")
            attended = layer_norm(attended + x, w, p + "attention.output.LayerNorm", 1e-12)
            x = layer_norm(x + attended, w, p + "layer_norm_1", 1e-12)
            up, gate = linear(x, w, p + "mlp.up_gated_layer").split(inner, -1)
            x = layer_norm(x + linear(up * F.gelu(gate), w, p + "mlp.down_layer"), w, p + "layer_norm_2", 1e-12)
        return x

    c.record(lambda row, i: pooled(hidden(row), "mean"), f"the formulas in make_more.py, torch {torch.__version__}")


for index, (name, make) in enumerate(SPECS.items()):
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    torch.manual_seed(100 + index)
    make()
