"""Medians over the rounds, and the table. Standard library only."""

from __future__ import annotations

import statistics
from typing import Any

OURS = "wde"
METRICS = (
    "texts_per_second", "tokens_per_second", "single_p50_ms", "single_p99_ms", "first_vector_seconds", "peak_rss_mb",
)  # fmt: skip

Summary = dict[str, dict[str, Any]]


def summarise(rounds: dict[str, list[dict[str, Any]]]) -> Summary:
    """Per contender: median, min and max of every metric, the worst agreement, and ratios to the best peer."""
    result: Summary = {}
    for name, runs in rounds.items():
        entry: dict[str, Any] = {}
        for metric in METRICS:
            values = [float(run[metric]) for run in runs]
            entry[metric] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        entry["worst_cosine"] = min(run["worst_cosine"] for run in runs)
        entry["max_difference"] = max(run["max_difference"] for run in runs)
        entry["others_cpu_share"] = max(run["others_cpu_share"] for run in runs)
        result[name] = entry

    peers = [name for name in result if name != OURS] or list(result)
    fastest = max(result[name]["tokens_per_second"]["median"] for name in peers)
    quickest = min(result[name]["single_p50_ms"]["median"] for name in peers)
    for entry in result.values():
        entry["throughput_ratio"] = entry["tokens_per_second"]["median"] / fastest
        entry["latency_ratio"] = entry["single_p50_ms"]["median"] / quickest
    return result


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _spread(metric: dict[str, float], digits: int) -> str:
    """The median, with min..max behind it if there was more than one round to differ."""
    text = _number(metric["median"], digits)
    if metric["min"] == metric["max"]:
        return text
    return f"{text} ({_number(metric['min'], digits)}..{_number(metric['max'], digits)})"


COLUMNS = (
    "", "texts/s", "tokens/s", "x best peer", "short text p50 ms", "x best peer", "p99 ms", "first vector s",
    "peak MB", "worst cosine", "max diff",
)  # fmt: skip


def rows(summary: Summary) -> list[list[str]]:
    """Cells of the table, the fastest first."""
    order = sorted(summary, key=lambda name: -summary[name]["tokens_per_second"]["median"])
    return [
        [
            name,
            _number(entry["texts_per_second"]["median"], 1),
            _spread(entry["tokens_per_second"], 0),
            f"{entry['throughput_ratio']:.2f}",
            _spread(entry["single_p50_ms"], 2),
            f"{entry['latency_ratio']:.2f}",
            _number(entry["single_p99_ms"]["median"], 2),
            _number(entry["first_vector_seconds"]["median"], 2),
            _number(entry["peak_rss_mb"]["median"], 0),
            f"{entry['worst_cosine']:.7f}",
            f"{entry['max_difference']:.1e}",
        ]
        for name, entry in ((name, summary[name]) for name in order)
    ]


def table(results: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [list(COLUMNS), *rows(results["summary"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]  # fmt: skip
    text += ["", "Set-ups: " + "\n         ".join(f"{name}: {chosen}" for name, chosen in results["chosen"].items())]
    return "\n".join(text)
