#!/usr/bin/env python3
"""Draws what simulate_schedulers --json says: mean wait, and p99 of the slow-down, against load, for each kind of client.

    build/release/bin/simulate_schedulers --load 0.3 0.5 0.7 0.8 0.9 0.95 --json > loads.json
    bench/schedule/plot.py loads.json docs/img          # scheduling-wait.svg and scheduling-slowdown.svg
    bench/schedule/plot.py loads.json . --format png

Needs matplotlib.
"""
import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLOURS = {"fair": "#0b6e4f", "length_aware": "#c77d0a", "fifo": "#b3261e", "shortest_first": "#7a7a7a"}
FIGURES = {
    "wait": ("mean", "mean wait in ms", 1e3),
    "slowdown": ("p99", "p99 of the slow-down", 1),
}


def draw(runs, figure, path):
    which, label, factor = FIGURES[figure]
    kinds = [kind for kind in ("query", "rerank", "bulk") if kind in runs[0]["kinds"]]
    schedulers = list(dict.fromkeys(run["scheduler"] for run in runs))
    image, panels = pyplot.subplots(1, len(kinds), figsize=(3.1 * len(kinds), 2.9), sharey=True, squeeze=False)
    for panel, kind in zip(panels[0], kinds):
        for scheduler in schedulers:
            points = sorted((run["load"], run["kinds"][kind][figure][which] * factor)
                            for run in runs if run["scheduler"] == scheduler and kind in run["kinds"])
            panel.plot(*zip(*points), label=scheduler, color=COLOURS.get(scheduler), linewidth=1.6,
                       linestyle="--" if scheduler == "shortest_first" else "-")
        panel.set_title(kind, fontsize=10)
        panel.set_yscale("log")
        panel.set_xlabel("load")
        panel.minorticks_off()
        panel.grid(True, which="major", linewidth=0.4, color="#cccccc")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel(label)
    panels[0][0].legend(loc="center left", bbox_to_anchor=(0, 0.55), fontsize=8, frameon=False)
    image.tight_layout()
    image.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(image)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=pathlib.Path, help="what simulate_schedulers --json printed")
    parser.add_argument("folder", type=pathlib.Path, help="where the figures go")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    args = parser.parse_args()
    # The same file each time: no date, no random names.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "wde", "font.size": 9, "path.simplify": True})
    runs = json.loads(args.runs.read_text())
    for figure in FIGURES:
        path = args.folder / f"scheduling-{figure}.{args.format}"
        draw(runs, figure, path)
        print(path)


if __name__ == "__main__":
    main()
