#!/usr/bin/env python3
"""What a --dtype costs in quality: its vectors beside those of float32, over one file of texts.

Prints the worst and the mean cosine of each text's two vectors, and Spearman's rank correlation of the similarities of
all pairs of texts. Exits with 1 where a bound of docs/precision.md is not kept. Needs numpy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

BOUNDS = {"int8": (0.99, 0.998, 0.999), "bfloat16": (0.999, 0.9999, 0.9999)}


def vectors(binary: str, model: str, texts: Path, settings: list[str]) -> np.ndarray:
    command = [binary, "embed", "--model", model, "--input", str(texts), "--quiet", *settings]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    array = np.array([row["embedding"] if isinstance(row, dict) else row for row in rows], dtype=np.float64)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def ranks(values: np.ndarray) -> np.ndarray:
    out = np.empty(len(values))
    out[np.argsort(values, kind="stable")] = np.arange(len(values))
    return out


def compare(reference: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    cosines = np.sum(reference * other, axis=1)
    pairs = np.triu_indices(len(reference), 1)
    spearman = np.corrcoef(ranks((reference @ reference.T)[pairs]), ranks((other @ other.T)[pairs]))[0, 1]
    return float(cosines.min()), float(cosines.mean()), float(spearman)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=Path, required=True, help="JSONL of strings, as bench/peers/texts.py writes it")
    parser.add_argument("--wde", default="build/release/bin/wde")
    parser.add_argument("--dtype", nargs="+", default=list(BOUNDS))
    parser.add_argument("settings", nargs="*", help="more settings of the engine, after --")
    arguments = parser.parse_args()
    reference = vectors(arguments.wde, arguments.model, arguments.texts, ["--dtype", "float32"])
    failed = False
    print(f"{'dtype':<10} {'worst cosine':>13} {'mean cosine':>12} {'Spearman':>10}")
    for dtype in arguments.dtype:
        found = compare(reference, vectors(arguments.wde, arguments.model, arguments.texts,
                                           ["--dtype", dtype, *arguments.settings]))
        kept = all(value >= bound for value, bound in zip(found, BOUNDS[dtype]))
        failed |= not kept
        print(f"{dtype:<10} {found[0]:13.6f} {found[1]:12.6f} {found[2]:10.6f}{'' if kept else '  below its bounds'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
