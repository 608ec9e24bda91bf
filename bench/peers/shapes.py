#!/usr/bin/env python3
"""Models of real shapes with random weights, for speed alone: what a shape costs does not depend on its numbers.

  bench/peers/shapes.py NAME     writes it into the cache if it is not there, and prints its directory

All but one have the tokenizer of all-MiniLM-L6-v2, and so its 30,522 words: every model counts the same tokens of the same
texts, and a table of words costs memory but no time. bge-m3-vocabulary has as many pieces as bge-m3 itself, made up, for the
time of its start. They are written as sentence-transformers models, pooled as their kind is.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model as model_files
import paths

VOCABULARY = 30522
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
SMALL_BGE_M3 = paths.REPOSITORY / "tests/golden/models/bge-m3"


@dataclass(frozen=True)
class Shape:
    """`matrices`: numbers in the products of one token, all layers. `attended`: query dimensions, for attention."""

    kind: str  # transformers' model type
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    positions: int = 512
    gated: bool = False
    pooling: str = "mean"
    window: int = 0  # tokens that a local layer sees on each side; 0: no layer is local
    global_every: int = 1
    pieces: int = 0  # of a Unigram vocabulary of its own; 0: all-MiniLM-L6-v2's words
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def dim(self) -> int:
        return self.head_dim or self.hidden // self.heads

    def matrices(self) -> int:
        q, kv = self.heads * self.dim, (self.kv_heads or self.heads) * self.dim
        feed_forward = (3 if self.gated else 2) * self.hidden * self.intermediate
        return self.layers * (self.hidden * (q + 2 * kv) + q * self.hidden + feed_forward)

    def flop(self, length: int) -> float:
        """Of one text of so many tokens: two for each number of the products, and the attention that its mask leaves."""
        total = 2.0 * self.matrices() * length
        for layer in range(self.layers):
            local = self.window and layer % self.global_every
            keys = min(length, 2 * self.window + 1) if local else length
            total += 4.0 * self.heads * self.dim * length * (keys / 2 if self.pooling == "lasttoken" else keys)
        return total


SHAPES = {
    "minilm": Shape("bert", 6, 384, 1536, 12),
    "bert-base": Shape("bert", 12, 768, 3072, 12),
    "bge-m3": Shape("xlm-roberta", 24, 1024, 4096, 16, positions=8192, pooling="cls"),
    "bge-m3-vocabulary": Shape("xlm-roberta", 24, 1024, 4096, 16, positions=8192, pooling="cls", pieces=250_002),
    "modernbert-base": Shape("modernbert", 22, 768, 1152, 12, positions=8192, gated=True, window=64, global_every=3),
    "qwen2-0.5b": Shape("qwen2", 24, 896, 4864, 14, 2, positions=32768, gated=True, pooling="lasttoken"),
    "qwen3-reranker-0.6b": Shape("qwen3", 28, 1024, 3072, 16, 8, 128, positions=40960, gated=True, pooling="lasttoken"),
}


def config_of(shape: Shape) -> Any:
    from transformers import AutoConfig

    keys: dict[str, Any] = {
        "vocab_size": shape.pieces or VOCABULARY, "num_hidden_layers": shape.layers, "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate, "num_attention_heads": shape.heads,
        # XLM-R counts its positions from padding_idx + 1.
        "max_position_embeddings": shape.positions + (2 if shape.kind == "xlm-roberta" else 0),
        "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102, **dict(shape.more),
    }  # fmt: skip
    if shape.kv_heads:
        keys["num_key_value_heads"] = shape.kv_heads
    if shape.head_dim:
        keys["head_dim"] = shape.head_dim
    if shape.kind == "bert":
        keys["position_embedding_type"] = "absolute"  # as real files have it, and CTranslate2 asks for
    if shape.window:
        keys |= {"local_attention": 2 * shape.window, "global_attn_every_n_layers": shape.global_every}
    return AutoConfig.for_model(shape.kind, **keys)


def fill(vocabulary: list[Any], pieces: int) -> None:
    """Made-up pieces behind those of a Unigram vocabulary."""
    seen = {piece for piece, _ in vocabulary}
    numbers = random.Random(0)
    letters = "etaoinshrdlucmfw" + "оеаинтсрвлкм" + "αιοετνσρ" + "のにはをた" + "的一是不了人"
    while len(vocabulary) < pieces:
        piece = numbers.choice(["", "\u2581"]) + "".join(numbers.choices(letters, k=numbers.randint(2, 9)))
        if piece not in seen:
            seen.add(piece)
            vocabulary.append([piece, -numbers.uniform(8, 15)])


def write(shape: Shape, out: Path) -> None:
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    make: Callable[..., Any] = (AutoModelForCausalLM if "reranker" in out.name else AutoModel).from_config
    extra = {"add_pooling_layer": False} if shape.kind in ("bert", "xlm-roberta") else {}
    make(config_of(shape), **extra).save_pretrained(out)
    source = SMALL_BGE_M3 if shape.pieces else model_files.obtain()
    for name in TOKENIZER[:2] if shape.pieces else TOKENIZER:
        shutil.copy(source / name, out / name)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["model_max_length"] = shape.positions
    (out / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = json.loads((out / "tokenizer.json").read_text())
    if shape.pieces:
        fill(tokenizer["model"]["vocab"], shape.pieces)
    tokenizer["truncation"] = tokenizer["padding"] = None
    if shape.pooling == "lasttoken" and "reranker" in out.name:
        tokenizer["post_processor"] = None
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    if "reranker" in out.name:
        return
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}",
         "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    (out / "modules.json").write_text(json.dumps(modules))
    (out / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": shape.positions, "do_lower_case": False})
    )
    modes = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    pooling: dict[str, Any] = {f"pooling_mode_{mode}": kind == shape.pooling for kind, mode in modes.items()}
    (out / "1_Pooling").mkdir()
    (out / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": shape.hidden, **pooling}))
    (out / "2_Normalize").mkdir()


def obtain(name: str) -> Path:
    directory = paths.cache() / "shapes" / name
    if not (directory / "config.json").is_file():
        part = directory.with_name(name + ".part")
        if part.exists():
            shutil.rmtree(part)
        part.parent.mkdir(parents=True, exist_ok=True)
        # The name decides the architecture, so write() sees the final one.
        temporary = part / name
        temporary.mkdir(parents=True)
        write(SHAPES[name], temporary)
        temporary.rename(directory)
        part.rmdir()
    return directory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(SHAPES))
    print(obtain(parser.parse_args().name))


if __name__ == "__main__":
    main()
