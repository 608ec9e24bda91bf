"""all-MiniLM-L6-v2 over HTTP for the scoreboard: TEI's /embed with JSON floats, as its users load it, beside `wde embed`.

bench/serve/report.py measures more of the server: rates that are given, spread, other routes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import model as model_files
import paths

sys.path.insert(0, str(paths.REPOSITORY / "bench/serve"))
import load  # noqa: E402
import report  # noqa: E402

SECONDS = 10
ROUTE = {"route": "tei"}


def measure(program: Path, texts_file: Path, rounds: int) -> list[dict[str, Any]]:
    texts = load.read_texts(texts_file)
    short = report.shortened(texts)
    rows = []
    for dtype in ("float32", "int8"):
        options = argparse.Namespace(wde=str(program), model=str(model_files.obtain()), dtype=dtype)
        server = report.Server(options)
        try:
            report.ask(server, texts[:64], batch=32, connections=4, **ROUTE)  # warm
            alone, bulk, single = [], [], []
            for _ in range(rounds):
                alone.append(report.embed_rate(options, texts))
                found = report.ask(server, texts, batch=32, connections=4, **ROUTE)
                bulk.append(found["texts"] / found["seconds"])
                found = report.ask(server, short, batch=1, connections=16, seconds=SECONDS, **ROUTE)
                single.append((len(found["times"]) / found["seconds"], load.quantile(found["times"], 0.5)))
        finally:
            server.stop()
        rate, latency = (statistics.median(values) for values in zip(*single, strict=True))
        rows.append({"dtype": dtype, "embed": statistics.median(alone), "bulk": statistics.median(bulk), "single": rate,
                     "p50_ms": latency})  # fmt: skip
    return rows


HEADER = ("all-MiniLM-L6-v2, `/embed`", "batches of 32, 4 connections", "of `wde embed`", f"texts of {report.SHORT} words, 16 connections", "p50 ms")


def table(rows: list[dict[str, Any]]) -> list[str]:
    return [
        "| " + " | ".join(HEADER) + " |",
        "|---" + "|---:" * (len(HEADER) - 1) + "|",
        *(
            f"| {row['dtype']} | {row['bulk']:,.0f} texts/s | {row['bulk'] / row['embed']:.0%} | {row['single']:,.0f} requests/s | {row['p50_ms']:.1f} |"
            for row in rows
        ),
    ] if rows else []
