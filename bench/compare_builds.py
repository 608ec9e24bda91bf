#!/usr/bin/env python3
"""Is the new `wde` slower than the old one? Runs the two programs in turn, prints a line a figure, and fails on a loss of 7 %.

    bench/compare_builds.py OLD NEW [MODEL]      two programs and the directory of all-MiniLM-L6-v2

The figures: float32 and int8, many texts (tokens/s) and one short text (ms), and what wde itself costs around a model with next to no
arithmetic, a tiny decoder. The texts are those of the repository's documents. The last line counts the figures, as scripts/test does.

How it judges. The programs take turns, old new new old and so on, each time in a process of its own, so that a machine that slows down,
warms up or is shared meets both. A pair of neighbours gives one ratio, and two numbers speak for the new program: the median of these
ratios, which a few disturbed pairs do not move, and its best run beside the old program's best, which no company on the machine can
make better than it is. Noise pulls one of them down now and then; a program that is slower pulls down both. So the better of the two
counts. Above CLEAR, the figure has passed at once; else more pairs follow, for a slow program to stay slow in and a disturbed one to
recover, and only what is still below LIMIT after MOST_PAIRS has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 0.93
# Half way between LIMIT and no loss: what is really at LIMIT rarely shows this after FIRST_PAIRS.
CLEAR = 0.965
FIRST_PAIRS = 4
MORE_PAIRS = 4
MOST_PAIRS = 16


@dataclass
class Setup:
    """One way to run `wde bench`, and the figures that it gives."""

    name: str
    model: Path
    flags: list[str]
    rounds: int = 1  # how often the texts are there
    bulk: str = ""  # names of the figures; "" where it is not looked at
    single: str = ""


class OldProgramFailed(Exception):
    pass


def texts() -> list[str]:
    """160 pieces of 4 to 64 words, 24 on average, as texts of different lengths share batches."""
    files = [ROOT / name for name in ("LICENSE", "README.md", "CONTRIBUTING.md", "examples/texts.txt")]
    words = " ".join(path.read_text() for path in files + sorted((ROOT / "docs").glob("*.md"))).split()
    lengths = [4, 8, 12, 16, 20, 28, 40, 64]
    pieces, at = [], 0
    for i in range(160):
        length = lengths[i * 5 % len(lengths)]
        pieces.append(" ".join(words[(at + k) % len(words)] for k in range(length)))
        at += length
    return pieces


def measure(program: str, setup: Setup, file: str) -> tuple[float, float]:
    """(tokens/s of the best of the passes, median ms of a short text); each 0 where it is not asked for."""
    command = [program, "bench", "--json", "--model", str(setup.model), "--input", file, "--runs", "3"]
    command += ["--singles", "150" if setup.single else "0", *setup.flags]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["tokens"] / min(report["seconds"]), report["single_p50_ms"] or 0.0


class Figure:
    """The runs of both programs, in `speed`: more is better. `unit` is how a run is told."""

    def __init__(self, name: str, unit: str):
        self.name, self.unit = name, unit
        self.old: list[float] = []
        self.new: list[float] = []

    def add(self, old: float, new: float) -> None:
        self.old.append(old)
        self.new.append(new)

    @property
    def median(self) -> float:
        return statistics.median(new / old for old, new in zip(self.old, self.new))

    @property
    def best(self) -> float:
        return max(self.new) / max(self.old)

    @property
    def ratio(self) -> float:
        return max(self.median, self.best)

    def __str__(self) -> str:
        old, new = statistics.median(self.old), statistics.median(self.new)
        if self.unit == "ms":
            old, new, form = 1e3 / old, 1e3 / new, "8.3f"
        else:
            form = "8,.0f"
        verdict = "ok" if self.ratio >= LIMIT else "SLOWER"
        return (
            f"{self.name:24} {old:{form}} -> {new:{form}} {self.unit:8}  speed x {self.median:.3f} (median of {len(self.old)}), "
            f"x {self.best:.3f} (best runs)  {verdict}"
        )


def compare(setup: Setup, old: str, new: str) -> list[Figure]:
    bulk, single = Figure(setup.bulk, "tokens/s"), Figure(setup.single, "ms")
    figures = [figure for figure in (bulk, single) if figure.name]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts() * setup.rounds)
        file.flush()
        while len(bulk.old) < MOST_PAIRS:
            pairs = FIRST_PAIRS if not bulk.old else MORE_PAIRS
            for i in range(pairs):
                seen = {}
                for which in ("old", "new") if i % 2 == 0 else ("new", "old"):
                    try:
                        seen[which] = measure(old if which == "old" else new, setup, file.name)
                    except subprocess.CalledProcessError as error:
                        if which == "old":
                            raise OldProgramFailed from error
                        raise RuntimeError(f"{new} fails: {error.stderr}") from error
                bulk.add(seen["old"][0], seen["new"][0])
                if setup.single:
                    single.add(1e3 / seen["old"][1], 1e3 / seen["new"][1])
            if all(figure.ratio >= CLEAR for figure in figures):
                break
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("model", type=Path, nargs="?")
    args = parser.parse_args()
    for name in [name for name in os.environ if re.match("WDE_", name)]:
        del os.environ[name]

    decoder = ROOT / "tests/golden/models/qwen3-embedding"
    setups = [
        Setup("float32", args.model, ["--dtype", "float32"], 1, "float32, many texts", "float32, a short text"),
        Setup("int8", args.model, ["--dtype", "int8"], 2, "int8, many texts", "int8, a short text"),
        Setup("tiny decoder", decoder, [], 8, "tiny decoder, many texts"),
    ]
    passed = failed = skipped = 0
    for setup in setups:
        try:
            figures = compare(setup, args.old, args.new) if setup.model else []
        except OldProgramFailed as error:
            figures = []
            sys.stderr.write(error.__cause__.stderr)
        if not figures:
            why = "the old program fails, see above" if setup.model else "all-MiniLM-L6-v2 is not here"
            print(f"{setup.name}: SKIPPED: {why}", flush=True)
            skipped += bool(setup.bulk) + bool(setup.single)
        for figure in figures:
            print(figure, flush=True)
            passed += figure.ratio >= LIMIT
            failed += figure.ratio < LIMIT
    print(f"figures: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
