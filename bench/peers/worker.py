"""Measures one peer in a process of its own, and prints one JSON object. compare.py starts it; see there for the rules.

Tasks:
  reference   every text alone through sentence-transformers: the vectors all others are compared with
  calibrate   tokens a second for each batch size on a sample, and the latency of short texts
  bulk        one untimed pass over all texts, one timed; vectors and peak memory
  single      time from process start to the first vector, then the latency of short texts
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

import engines
import texts as text_files
import tokenise


def started() -> float:
    """When this process was asked for, on the clock of time.monotonic(); the driver notes it just before."""
    return float(os.environ["WDE_PEERS_STARTED"])


def peak_memory_mb() -> float:
    """Peak resident memory. Not getrusage(): its figure survives exec, so the starting process would be counted."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def timed(engine: engines.Engine, texts: list[str], batch_size: int) -> tuple[float, engines.Vectors]:
    start = time.perf_counter()
    vectors = engine.encode(texts, batch_size)
    return time.perf_counter() - start, vectors


def latencies_ms(engine: engines.Engine, texts: list[str]) -> dict[str, float]:
    for text in texts[:20]:
        engine.encode([text], 1)
    each = [timed(engine, [text], 1)[0] * 1e3 for text in texts]
    p50, p99 = np.percentile(each, [50, 99])
    return {"single_p50_ms": float(p50), "single_p99_ms": float(p99)}


def reference(engine: engines.Engine, texts: list[str], out: Path) -> dict[str, object]:
    np.save(out, np.concatenate([engine.encode([text], 1) for text in texts]))
    return {}


def calibrate(
    engine: engines.Engine, model: Path, texts: list[str], shorts: list[str], sizes: list[int]
) -> dict[str, object]:
    sample = texts[:: max(1, len(texts) // 128)]
    tokens = sum(tokenise.token_counts(tokenise.load_tokeniser(model), sample))
    rates: dict[str, float] = {}
    for size in sizes:
        engine.encode(sample, size)
        rates[str(size)] = tokens / timed(engine, sample, size)[0]
    return {"tokens_per_second": rates, **latencies_ms(engine, shorts[:50])}


def bulk(engine: engines.Engine, texts: list[str], batch_size: int, out: Path) -> dict[str, object]:
    engine.encode(texts, batch_size)
    seconds, vectors = timed(engine, texts, batch_size)
    memory = peak_memory_mb()
    np.save(out, vectors)
    return {"seconds": seconds, "peak_rss_mb": memory}


def single(engine: engines.Engine, texts: list[str], shorts: list[str], loaded: float) -> dict[str, object]:
    engine.encode(texts[:1], 1)
    first = time.monotonic() - started()
    return {"load_seconds": loaded, "first_vector_seconds": first, **latencies_ms(engine, shorts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["reference", "calibrate", "bulk", "single"])
    parser.add_argument("--peer", choices=sorted(engines.ENGINES), required=True)
    parser.add_argument("--options", type=json.loads, required=True, metavar="JSON", help="the variant's options")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--converted", type=Path, required=True, metavar="DIR")
    parser.add_argument("--texts", type=Path, required=True, metavar="FILE", help="JSONL of strings")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32], metavar="N")
    parser.add_argument("--singles", type=int, default=200, metavar="N", help="how many short texts")
    parser.add_argument("--vectors", type=Path, default=Path("vectors.npy"), metavar="FILE")
    a = parser.parse_args()

    engine = engines.ENGINES[a.peer](a.model, a.converted, a.cores, **a.options)
    loaded = time.monotonic() - started()
    texts = text_files.read(a.texts)
    shorts = text_files.short_texts(texts, a.singles)
    match a.task:
        case "reference":
            result = reference(engine, texts, a.vectors)
        case "calibrate":
            result = calibrate(engine, a.model, texts, shorts, a.batch_sizes)
        case "bulk":
            result = bulk(engine, texts, a.batch_sizes[0], a.vectors)
        case _:
            result = single(engine, texts, shorts, loaded)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
