"""Writes the section of docs/performance.md between its markers, and the plot beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import summary

FRAME = "# Performance\n\n## Against other runtimes\n"


def name_of(results: dict[str, Any]) -> str:
    """Of the section and its plot: one for each model and number format."""
    model = results["model"]
    special = [part for part in (model["name"], model["dtype"]) if part not in ("all-MiniLM-L6-v2", "float32")]
    return "-".join(["peers", *special])


def section(results: dict[str, Any]) -> str:
    machine, texts, model = results["machine"], results["texts"], results["model"]
    lines = [
        f"Written by `{results['command']}`; do not edit by hand. How it measures: `bench/peers/README.md`.",
        "",
        f"{model['name']}, {model['dtype']}, {texts['count']:,} English package descriptions with {texts['tokens']:,} tokens "
        f"(at most {model['max_length']} each), tokenising included, every contender at its best set-up. "
        f"Medians of {max(len(runs) for runs in results['rounds'].values())} interleaved rounds, min..max in brackets. "
        "\"x best peer\" compares with the best peer of that column: for tokens/s more is better, for latency less.",
        "",
        "| " + " | ".join(summary.COLUMNS) + " |",
        "|---" + "|---:" * (len(summary.COLUMNS) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in summary.rows(results["summary"])),
        "",
        f"![Throughput and latency of all contenders](img/{name_of(results)}.svg)",
        "",
        f"- Machine: {machine['cpu']}, {machine['cores']} cores; {', '.join(machine['isa'])}",
        f"- Kernel {machine['kernel']}, Python {machine['python']}, {machine['date']}; "
        f"load average before the run {machine['load_average']:.2f}, "
        f"others' share of the CPU during it at most "
        f"{max(entry['others_cpu_share'] for entry in results['summary'].values()):.0%}",
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in results["packages"].items()),
        "- ONNX graph, fused operators: "
        + ", ".join(f"{count} {name}" for name, count in results["fused_operators"].items()),
        "- Set-ups (parallel batches x threads each): "
        + "; ".join(f"{name}: {chosen}" for name, chosen in results["chosen"].items()),
        "- First vector: from process start. Worst cosine and largest difference: to sentence-transformers running "
        "each text alone, over all texts.",
        "- PyPI's torch is the CUDA build: its libraries count in sentence-transformers' load time and memory.",
    ]
    return "\n".join(lines)


def plot(path: Path, results: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "wde", "font.size": 9})  # the same results give the same file
    from matplotlib import pyplot

    entries = results["summary"]
    names = sorted(entries, key=lambda name: entries[name]["tokens_per_second"]["median"])
    colours = ["#c0392b" if name == summary.OURS else "#7f8c8d" for name in names]
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 0.9 + 0.4 * len(names)), sharey=True, layout="constrained")
    panels = (("tokens_per_second", "tokens/s (more is better)", "{:,.0f}"),
              ("single_p50_ms", "short text, p50 ms (less is better)", "{:.2f}"))  # fmt: skip
    for axis, (metric, title, form) in zip(axes, panels, strict=True):
        values = [entries[name][metric]["median"] for name in names]
        below = [value - entries[name][metric]["min"] for name, value in zip(names, values, strict=True)]
        above = [entries[name][metric]["max"] - value for name, value in zip(names, values, strict=True)]
        bars = axis.barh(names, values, color=colours, xerr=(below, above), error_kw={"lw": 0.8, "capsize": 2})
        axis.bar_label(bars, [form.format(value) for value in values], padding=4)
        axis.set_title(title, fontsize=9)
        axis.set_xlim(0, 1.25 * max(value + more for value, more in zip(values, above, strict=True)))
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def write(path: Path, results: dict[str, Any]) -> None:
    name = name_of(results)
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text(encoding="utf-8") if path.is_file() else FRAME
    if begin not in old or end not in old:
        old = old.rstrip("\n") + f"\n\n{begin}\n{end}\n"
    head, _, rest = old.partition(begin)
    _, _, tail = rest.partition(end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}{begin}\n{section(results)}\n{end}{tail}", encoding="utf-8")
    plot(path.parent / "img" / f"{name}.svg", results)
