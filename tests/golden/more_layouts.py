"""Golden checkpoints in the layouts of their makers' own code: Jina's, Nomic's, Alibaba's; make_more.py writes them.

The reference is transformers with the same weights, or the makers' published formulas in a few lines of torch.
"""
import json
import math
import shutil

import torch
import torch.nn.functional as F
import transformers as T
from safetensors.torch import load_file, save_file

from checkpoint import MODELS, Checkpoint, pooled, random_tensors, run, shake, spec


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


@spec(seed=107)
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


@spec(seed=120)
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


@spec(seed=108)
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


@spec(seed=109)
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


@spec(seed=117)
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


@spec(seed=121)
def voyage_nano():
    """voyage-4-nano: Qwen3, bidirectional, and a matrix on the last hidden states, whose rows the pooling sees."""
    c = Checkpoint("voyage-nano", "qwen3-embedding")
    like = json.loads((c.like / "config.json").read_text())
    width = 72
    keys = {k: like[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
                                 "max_position_embeddings", "vocab_size", "rms_norm_eps")}
    config = T.Qwen3Config(**keys, tie_word_embeddings=True)
    model = shake(T.Qwen3Model(config))
    projection = torch.randn(width, keys["hidden_size"]) * 0.2
    save_file({**{f"model.{k}": v for k, v in model.state_dict().items()}, "linear.weight": projection}, c.directory / "model.safetensors")
    c.write_json("config.json", {
        "architectures": ["Qwen3BidirectionalModel"], "attention_bias": False, "attention_dropout": 0.0,
        "auto_map": {"AutoModel": "modeling_qwen3_bidirectional.Qwen3BidirectionalModel"}, "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
        "max_window_layers": 28, "model_type": "qwen3", "num_labels": width, "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": None,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.51.3", "use_bidirectional_attention": True, "use_cache": True,
        "use_sliding_window": False, **keys})
    c.write_json("modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                                  for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")))])
    c.write_json("1_Pooling/config.json", {"word_embedding_dimension": width, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
                                           "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
                                           "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": False, "include_prompt": True})
    c.golden["bidirectional"] = True
    seen = lambda n: {"full_attention": torch.zeros(1, 1, n, n)}  # every token sees every other
    c.record(lambda row, i: pooled(run(model, row, attention_mask=seen(len(row))).last_hidden_state[0] @ projection.T, "mean"))
