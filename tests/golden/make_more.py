#!/usr/bin/env python3
"""Golden checkpoints beyond the first 33, with the tokenizers and the inputs of those: tiny random weights, and what the reference answers.

usage: make_more.py [NAME ...]        needs torch, transformers >= 5.23, sentence-transformers, model2vec and safetensors

The reference is transformers where it has the architecture. Where it has not (Jina's BERT, Nomic's experts) it is a few lines of torch in
more_layouts.py, written from the published formulas. Float32 on a CPU, every input alone.
"""
import importlib
import sys

import torch

from checkpoint import SPECS

for module in ("more_architectures", "more_adapters", "more_layouts", "more_static"):
    importlib.import_module(module)  # registers its checkpoints

for name, (seed, make) in SPECS.items():
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    torch.manual_seed(seed)
    make()
