"""Golden checkpoints with LoRA adapters, and LLM2Vec's; make_more.py writes them."""
import json
import math
import shutil

import tokenizers
import torch
import transformers as T
from safetensors.torch import load_file, save_file

from checkpoint import SMALL, SMALLER, Checkpoint, pooled, run, save_transformers, shake, spec


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


@spec(seed=105)
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


@spec(seed=112)
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


@spec(seed=106)
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
