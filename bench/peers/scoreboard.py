"""The scoreboard: models of real shapes with random weights, by length and number of texts, wde beside torch.

Each row is one model on texts of one length (or on the package descriptions of bench/peers/run), all at once or one at a time.
torch runs through sentence-transformers with SDPA, texts of equal length, so it pads nothing. Passes of both are interleaved and
the medians compared. The limit of a row is its arithmetic (products and attention, not the rest) at the FMA peak, or its weights
at the memory's rate where each text reads them anew, whichever takes longer; bench_peak measured both in the same run, on all cores.
Behind it comes all-MiniLM-L6-v2 over HTTP (http_load.py).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import http_load
import machine
import paths
import run_process
import shapes
import texts as text_files

BEGIN, END = "<!-- scoreboard:begin -->", "<!-- scoreboard:end -->"
LIVE = 0  # the length of a row of package descriptions


@dataclass(frozen=True)
class Row:
    shape: str
    length: int
    count: int
    single: bool = False
    dtypes: tuple[str, ...] = ("float32",)


ALL = ("float32", "bfloat16", "int8")
ROWS = [
    Row("bert-base", LIVE, 150, dtypes=ALL),
    Row("bert-base", 16, 256),
    Row("bert-base", 128, 64, dtypes=ALL),
    Row("bert-base", 512, 16),
    Row("bert-base", 16, 60, single=True, dtypes=ALL),
    Row("bert-base", 512, 6, single=True),
    Row("bge-m3", LIVE, 48, dtypes=ALL),
    Row("bge-m3", 512, 4),
    Row("bge-m3", 4096, 4),
    Row("bge-m3", 8192, 2),
    Row("modernbert-base", 512, 16),
    Row("modernbert-base", 4096, 2),
    Row("modernbert-base", 8192, 2),
    Row("qwen2-0.5b", LIVE, 48, dtypes=ALL),
    Row("qwen2-0.5b", 4096, 4),
]


def words() -> list[str]:
    """Whole words of the vocabulary: each is one token."""
    vocabulary = (shapes.model_files.obtain() / "vocab.txt").read_text().split("\n")
    return [word for word in vocabulary if len(word) > 3 and word.isascii() and word.isalpha()]


def texts_of(row: Row) -> Path:
    file = paths.work() / f"row-{row.length}-{row.count}.jsonl"
    if not file.is_file():
        if row.length == LIVE:
            part = file.with_suffix(".part")
            text_files.write(part, row.count)
            part.replace(file)
        else:
            known, draw = words(), random.Random(row.length)
            lines = (json.dumps(" ".join(draw.choices(known, k=row.length - 2))) for _ in range(row.count))
            file.write_text("\n".join(lines) + "\n")
    return file


class Torch:
    """One process a model, for as long as its rows last."""

    def __init__(self, shape: str, cores: int) -> None:
        command = [sys.executable, str(paths.HERE / "torch_worker.py"), str(shapes.obtain(shape)), str(cores)]
        self.process = subprocess.Popen(
            command, env=run_process.environment(cores, {}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, row: Row, runs: int, tokens: int) -> float:
        assert self.process.stdin and self.process.stdout
        batch = 1 if row.single or row.length >= 4096 else 16
        job = {"texts": str(texts_of(row)), "batch": batch, "single": row.single, "runs": runs}
        print(json.dumps(job), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise run_process.Failed(f"torch ended in {row}")
        result = json.loads(line)
        if result["tokens"] != tokens:
            raise run_process.Failed(f"{row}: torch has {result['tokens']} tokens, wde {tokens}")
        return statistics.median(result["seconds"])

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def wde(program: Path, row: Row, dtype: str, cores: int, runs: int) -> dict[str, Any]:
    command = [str(program), "bench", "--model", str(shapes.obtain(row.shape)), "--input", str(texts_of(row)),
               "--runs", str(runs), "--singles", "0", "--json", "--dtype", dtype]  # fmt: skip
    if row.single:
        command += ["--concurrency", "1"]
    return run_process.run_json(command, run_process.environment(cores, {}))


def measure(row: Row, torch: Torch | None, program: Path, cores: int, peak: dict[str, float], runs: int) -> dict[str, Any]:
    ours: dict[str, list[float]] = {dtype: [] for dtype in row.dtypes}
    theirs: list[float] = []
    tokens = 0
    for _ in range(runs):
        for dtype in row.dtypes:
            result = wde(program, row, dtype, cores, 1)
            ours[dtype].append(result["tokens_per_second"])
            tokens = result["tokens"]
        if torch:
            theirs.append(tokens / torch.seconds(row, 1, tokens))
    rates = {dtype: statistics.median(values) for dtype, values in ours.items()}
    shape = shapes.SHAPES[row.shape]
    mean = max(1, round(tokens / row.count))
    seconds = tokens / rates["float32"]
    computing = row.count * shape.flop(mean) / (peak["fma_gflops"] * 1e9)
    reading = row.count * 4 * shape.matrices() / (peak["read_gb_s"] * 1e9) if row.single else 0.0
    return {
        "shape": row.shape, "length": row.length, "count": row.count, "single": row.single, "tokens": tokens,
        "tokens_per_second": rates, "torch": statistics.median(theirs) if theirs else None,
        "share_of_peak": computing / seconds, "share_of_limit": max(computing, reading) / seconds,
        "milliseconds": 1e3 * seconds / row.count, "mflop_per_token": shape.flop(mean) / mean * 1e-6,
    }  # fmt: skip


HEADER = ("model", "texts", "wde tokens/s", "torch", "x torch", "of FMA peak", "of the limit", "ms a text", "bfloat16", "int8")


def cells(result: dict[str, Any]) -> list[str]:
    rates, torch = result["tokens_per_second"], result["torch"]
    length = f"of {result['tokens'] / result['count']:.0f} tokens" if result["length"] == LIVE else f"x {result['length']}"
    texts = f"{result['count']} {'descriptions ' if result['length'] == LIVE else ''}{length}"
    return [
        result["shape"], texts + (", one at a time" if result["single"] else ""), f"{rates['float32']:,.0f}",
        f"{torch:,.0f}" if torch else "", f"{rates['float32'] / torch:.2f}" if torch else "", f"{result['share_of_peak']:.0%}",
        f"{result['share_of_limit']:.0%}", f"{result['milliseconds']:,.1f}",
        *(f"{rates[dtype]:,.0f}" if dtype in rates else "" for dtype in ("bfloat16", "int8")),
    ]  # fmt: skip


def plot(path: Path, results: list[dict[str, Any]], peak: dict[str, float]) -> None:
    """Seconds a text against its arithmetic: a straight line is a constant share of the peak."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "wde", "font.size": 9})
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for shape, marker in zip(dict.fromkeys(r["shape"] for r in results), "osD^v", strict=False):
        rows = [r for r in results if r["shape"] == shape]
        flop = [r["mflop_per_token"] * 1e6 * r["tokens"] / r["count"] for r in rows]
        axis.scatter(flop, [r["milliseconds"] / 1e3 for r in rows], marker=marker, label=f"{shape}, wde", zorder=3)
        slow = [(f, r["tokens"] / r["count"] / r["torch"]) for f, r in zip(flop, rows, strict=True) if r["torch"]]
        if slow:
            axis.scatter(*zip(*slow, strict=True), marker=marker, facecolors="none", edgecolors="grey", zorder=2)
    ends = [min(r["mflop_per_token"] * 1e6 * r["tokens"] / r["count"] for r in results) / 2,
            max(r["mflop_per_token"] * 1e6 * r["tokens"] / r["count"] for r in results) * 2]  # fmt: skip
    for share, style in ((1.0, "-"), (0.5, ":")):
        axis.plot(ends, [f / (share * peak["fma_gflops"] * 1e9) for f in ends], "k" + style, lw=0.8,
                  label=f"{share:.0%} of the FMA peak")  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="operations a text", ylabel="seconds a text (grey: torch)")
    axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def write(path: Path, results: list[dict[str, Any]], served: list[dict[str, Any]], peak: dict[str, float], runs: int) -> None:
    about = machine.describe()
    lines = [
        f"Written by `bench/peers/scoreboard`; do not edit by hand. {about['cpu']}, {about['cores']} cores, {about['date']}; measured "
        f"peak {peak['fma_gflops']:.0f} GFLOP/s on all cores ({peak['fma_gflops_one_core']:.0f} on one), memory read at "
        f"{peak['read_gb_s']:.0f} GB/s. Random weights of each model's shape, float32 but for the last two columns (tokens/s), "
        f"medians of {runs} interleaved passes. The limit is the arithmetic of products and attention at "
        "the FMA peak or, one text at a time, the float32 weights at the memory's rate.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---" + "|---:" * (len(HEADER) - 2) + "|",
        *("| " + " | ".join(cells(result)) + " |" for result in results),
        "",
        "![Seconds a text against its arithmetic](img/scoreboard.svg)",
        "",
        *http_load.table(served),
    ]
    old = path.read_text(encoding="utf-8")
    if BEGIN not in old:
        old = old.rstrip("\n") + f"\n\n## Other models, lengths and batches\n\n{BEGIN}\n{END}\n"
    head, _, rest = old.partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    plot(path.parent / "img/scoreboard.svg", results, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binaries = paths.REPOSITORY / "build/release/bin"
    parser.add_argument("--wde", type=Path, default=binaries / "wde", metavar="PROGRAM")
    parser.add_argument("--peak", type=Path, default=binaries / "bench_peak", metavar="PROGRAM")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="passes of each (default: 3)")
    parser.add_argument("--shapes", nargs="+", choices=sorted({row.shape for row in ROWS}), metavar="NAME")
    parser.add_argument("--max-length", type=int, default=8192, metavar="N", help="leave longer rows out")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--no-http", action="store_true")
    parser.add_argument("--out", type=Path, metavar="FILE", help="everything measured, as JSON")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="rewrite this document's section and its plot")
    options = parser.parse_args()

    cores = machine.cores()
    peak = run_process.run_json([str(options.peak), str(cores)], run_process.environment(cores, {}))
    print(f"peak {peak['fma_gflops']:.0f} GFLOP/s, {peak['read_gb_s']:.0f} GB/s", flush=True)
    print(" | ".join(HEADER), flush=True)
    results = []
    for shape in dict.fromkeys(row.shape for row in ROWS):
        if options.shapes and shape not in options.shapes:
            continue
        torch = None if options.no_torch else Torch(shape, cores)
        for row in ROWS:
            if row.shape == shape and row.length <= options.max_length:
                # The long rows take minutes; what they vary is small beside that.
                runs = 1 if row.length >= 4096 else options.runs
                results.append(measure(row, torch, options.wde, cores, peak, runs))
                print(" | ".join(cells(results[-1])), flush=True)
        if torch:
            torch.close()
    served = [] if options.no_http else http_load.measure(options.wde, texts_of(Row("minilm", LIVE, 1000)), options.runs)
    print("\n".join(http_load.table(served)), flush=True)
    if options.out:
        found = {"machine": machine.describe(), "peak": peak, "rows": results, "http": served}
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.docs:
        write(options.docs, results, served, peak, options.runs)


if __name__ == "__main__":
    main()
