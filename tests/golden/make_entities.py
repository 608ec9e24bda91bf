#!/usr/bin/env python3
"""Entities of random labels in every scheme that is in use, as transformers' token classification pipeline groups them.

usage: make_entities.py        needs transformers; writes entities/schemes.json
"""
import json
import pathlib
import random

import numpy as np
import transformers as T

SCHEMES = {
    "IO": ["O", "I-PER", "I-LOC"],
    "BIO": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "BIOES": ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"],
    "BILOU": ["O", "B-PER", "I-PER", "L-PER", "U-PER", "B-LOC", "I-LOC", "L-LOC", "U-LOC"],
    "BMEWO": ["O", "B-NAME", "M-NAME", "E-NAME", "W-NAME", "E-ORG-UNIT", "B-ORG-UNIT"],
    "plain": ["O", "PER", "LOC", "0"],
    "names with dashes": ["O", "B-work-of-art", "I-work-of-art", "work-of-art", "B-", "I-", "-", "b-PER", "i-PER", "B_PER", "I_PER", "PER-B", "PER-I", ""],
}


class Pipeline(T.TokenClassificationPipeline):
    def __init__(self, labels):
        self.model = type("Model", (), {"config": type("Config", (), {"id2label": dict(enumerate(labels))})})
        self.tokenizer = type("Tokenizer", (), {"convert_tokens_to_string": staticmethod(" ".join)})


def main():
    random.seed(7)
    cases = []
    for scheme, labels in SCHEMES.items():
        pipeline = Pipeline(labels)
        for length in [1, 2, 3] * 4 + [12] * 8:
            chosen = [random.randrange(len(labels)) for _ in range(length)]
            scores = np.array([[0.25 if i == c else 0.75 / len(labels) / (2 + i) for i in range(len(labels))] for c in chosen], np.float32)
            scores[np.arange(length), chosen] += np.linspace(0, 0.5, length, dtype=np.float32)
            scores = (np.round(scores * 256) / 256).astype(np.float32)
            tokens = [{"word": "ab", "scores": scores[i], "start": 3 * i, "end": 3 * i + 2, "index": i, "is_subword": False} for i in range(length)]
            groups = pipeline.aggregate(tokens, T.pipelines.token_classification.AggregationStrategy.SIMPLE)
            groups = [g for g in groups if g["entity_group"] not in ["O"]]
            cases.append({"scheme": scheme, "labels": labels, "probs": [[float(x) for x in row] for row in scores],
                          "entities": [[g["entity_group"], float(g["score"]), g["start"], g["end"]] for g in groups]})
    path = pathlib.Path(__file__).resolve().parent / "entities" / "schemes.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"reference": f"transformers {T.__version__}", "cases": cases}) + "\n")
    print(path, len(cases))


if __name__ == "__main__":
    main()
