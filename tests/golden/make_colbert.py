#!/usr/bin/env python3
"""Golden checkpoints of late interaction (ColBERT) in every layout: tiny random weights, and what sentence-transformers answers.

usage: make_colbert.py [NAME ...]        needs torch, transformers >= 5.23, sentence-transformers >= 6.2 and safetensors

Queries and documents of all inputs, each alone, float32 on a CPU; and MaxSim of some pairs.
"""
import json
import pathlib
import shutil
import sys

import sentence_transformers
import torch
import transformers as T
from safetensors.torch import save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

MODELS = pathlib.Path(__file__).resolve().parent / "models"
MAX_LENGTH = 96
LONG = 60  # words of a text that is cut on either side
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


def write_json(file, value):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value, indent=1))


def tokenizer(directory, like, rename=(), added=()):
    """Of another golden checkpoint; `rename`: words of its vocabulary that are of no use become markers, `added`: tokens behind it."""
    file = json.loads((MODELS / like / "tokenizer.json").read_text())
    vocabulary = file["model"]["vocab"]
    taken = {token["content"] for token in file["added_tokens"]}
    spare = [word for word in sorted(vocabulary, key=vocabulary.get, reverse=True) if word not in taken and len(word) > 4]
    for old, new in zip(spare, rename):
        vocabulary[new] = vocabulary.pop(old)
    next_id = max(max(vocabulary.values()), *(token["id"] for token in file["added_tokens"])) + 1
    for i, content in enumerate(added):
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        file["added_tokens"].append({"id": next_id + i, "content": content, **plain})
    write_json(directory / "tokenizer.json", file)
    config = json.loads((MODELS / like / "tokenizer_config.json").read_text())
    write_json(directory / "tokenizer_config.json", {**config, "model_max_length": MAX_LENGTH})
    return next_id + len(added)


def bert(vocabulary):
    return T.BertConfig(vocab_size=vocabulary, hidden_size=32, intermediate_size=56, num_attention_heads=4, num_hidden_layers=2, max_position_embeddings=MAX_LENGTH)


def dense(directory, size, out, residual=False, activation="torch.nn.modules.linear.Identity", input_name=None):
    linear = {"linear.weight": torch.randn(out, size) * 0.3}
    if residual and out != size:
        linear["residual.weight"] = torch.randn(out, size) * 0.3
    config = {"in_features": size, "out_features": out, "bias": False, "activation_function": activation}
    if residual:
        config["use_residual"] = True
    if input_name:
        config["module_input_name"] = input_name
    write_json(directory / "config.json", config)
    save_file(linear, directory / "model.safetensors")


def pylate(directory, denses, **config):
    """As PyLate up to version 3 writes it: the Transformer and its Dense layers, the rest in one file."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    modules += [{"idx": i, "name": str(i), "path": f"{i}_Dense", "type": "pylate.models.Dense.Dense"} for i in range(1, denses + 1)]
    write_json(directory / "modules.json", modules)
    # One less than the document's length: without the marker.
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": config["document_length"] - 1, "do_lower_case": False})
    versions = {"sentence_transformers": "5.3.0", "transformers": "5.3.0", "pytorch": "2.9.0"}
    defaults = {"model_type": "ColBERT", "__version__": versions, "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim"}
    write_json(directory / "config_sentence_transformers.json", {**defaults, **config})


def fresh(name):
    torch.manual_seed(sum(name.encode()))
    shutil.rmtree(MODELS / name, ignore_errors=True)
    (MODELS / name).mkdir()
    return MODELS / name


@spec
def colbert_stanford(directory):
    vocabulary = tokenizer(directory, "bert-mean", rename=("[unused0]", "[unused1]"))
    model = shake(T.BertModel(bert(vocabulary)))
    tensors = {f"bert.{k}": v.contiguous() for k, v in model.state_dict().items()}
    tensors["linear.weight"] = torch.randn(16, 32) * 0.3
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    write_json(directory / "config.json", {**model.config.to_dict(), "architectures": ["HF_ColBERT"]})
    write_json(directory / "artifact.metadata", {
        "query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_token": "[Q]", "doc_token": "[D]", "attend_to_mask_tokens": False,
        "mask_punctuation": True, "query_maxlen": 32, "doc_maxlen": 40, "dim": 16, "similarity": "cosine", "checkpoint": "x", "bsize": 32})


@spec
def colbert_pylate_bert(directory):
    """Two Dense layers, of which the first has a residual and an activation; a prompt behind the marker; queries that see what fills them up."""
    vocabulary = tokenizer(directory, "bert-mean", added=("[Q] ", "[D] "))
    shake(T.BertModel(bert(vocabulary))).save_pretrained(directory)
    dense(directory / "1_Dense", 32, 48, residual=True, activation="torch.nn.modules.activation.GELU")
    dense(directory / "2_Dense", 48, 16)
    pylate(directory, 2, query_prefix="[Q] ", document_prefix="[D] ", query_length=24, document_length=40, do_query_expansion=True,
           attend_to_expansion_tokens=True, skiplist_words=[".", ",", "the"], prompts={"query": "find: "})


@spec
def colbert_pylate_modernbert(directory):
    vocabulary = tokenizer(directory, "modernbert", added=("[Q] ", "[D] "))
    like = T.AutoConfig.from_pretrained(MODELS / "modernbert")
    like.update({"vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2,
                 "max_position_embeddings": MAX_LENGTH, "local_attention": 64})
    like.layer_types = like.layer_types[:4]
    like._attn_implementation = "eager"
    shake(T.ModernBertModel(like)).save_pretrained(directory)
    dense(directory / "1_Dense", 32, 16)
    pylate(directory, 1, query_prefix="[Q] ", document_prefix="[D] ", query_length=32, document_length=48, do_query_expansion=True,
           attend_to_expansion_tokens=False, skiplist_words=list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))


@spec
def colbert_pylate_plain(directory):
    """Markers that are no tokens, without expansion, and from before model_type was written."""
    vocabulary = tokenizer(directory, "bert-mean")
    shake(T.BertModel(bert(vocabulary))).save_pretrained(directory)
    dense(directory / "1_Dense", 32, 16)
    pylate(directory, 1, query_prefix="query: ", document_prefix="passage: ", query_length=20, document_length=40, do_query_expansion=False)
    file = directory / "config_sentence_transformers.json"
    config = json.loads(file.read_text())
    del config["model_type"], config["similarity_fn_name"]
    write_json(file, config)


@spec
def colbert_multi_vector_encoder(directory):
    """sentence-transformers' own form, written by itself: queries of at least 24 tokens, the mean of the products, other modules' order."""
    backbone = directory / "backbone"
    backbone.mkdir()
    vocabulary = tokenizer(backbone, "bert-mean", added=("[Q] ", "[D] "))
    shake(T.BertModel(bert(vocabulary))).save_pretrained(backbone)
    transformer = Transformer(str(backbone), document_length=40, query_expansion={"strategy": "min", "length": 24, "attend": False})
    projection = Dense(32, 16, bias=True, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    mask = MultiVectorMask(skiplist_words=list(".,;"), skiplist_tasks=["query", "document"])
    modules = [transformer, projection, mask, Normalize(module_input_name="token_embeddings")]
    model = MultiVectorEncoder(modules=modules, prompts={"query": "[Q] ", "document": "[D] "}, similarity_fn_name="meanmaxsim", device="cpu")
    model.save_pretrained(str(directory), create_model_card=False)
    shutil.rmtree(backbone)


def record(directory):
    texts = [text for text in json.loads((MODELS / "bert-mean" / "golden.json").read_text())["inputs"] if isinstance(text, str) and text.strip()]
    texts = texts[:14] + ["a, b; c. (d) e!", "the end", " ".join(["the quick brown fox"] * (LONG // 4)), "[Q] what is [MASK]?"]
    model = MultiVectorEncoder(str(directory), device="cpu", model_kwargs={"attn_implementation": "eager"})
    inputs, ids, arrays, vectors = [], [], {}, {"query": [], "document": []}
    for side in vectors:
        encode = model.encode_query if side == "query" else model.encode_document
        prompt = model.prompts.get(side)
        for text in texts:
            arrays[f"vectors.{len(inputs)}"] = out = encode([text], batch_size=1)[0].float().cpu().clone().contiguous()
            vectors[side].append(out)
            ids.append(model.preprocess([text], prompt=prompt, task=side)["input_ids"][0].tolist())
            inputs.append({"text": text, "prompt_name": side})
    pairs = [[texts[q], texts[d], float(model.similarity([vectors["query"][q]], [vectors["document"][d]])[0, 0])]
             for q, d in ((0, 0), (0, 1), (0, 5), (3, 2), (4, 4), (9, 14), (14, 9), (16, 16))]
    save_file(arrays, directory / "golden.safetensors")
    reference = f"sentence-transformers {sentence_transformers.__version__}, transformers {T.__version__}, torch {torch.__version__}"
    golden = dict(inputs=inputs, ids=ids, pairs=pairs, max_length=MAX_LENGTH, outputs={"vectors": [0, 16]}, tolerance=2e-5, reference=reference)
    (directory / "golden.json").write_text(json.dumps(golden, ensure_ascii=False))
    size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
    print(directory.name, size // 1024, "KiB", len(inputs), "inputs", [round(pair[2], 3) for pair in pairs])


if __name__ == "__main__":
    for name, make in SPECS.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            made = fresh(name)
            make(made)
            record(made)
