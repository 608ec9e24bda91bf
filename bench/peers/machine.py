"""What the machine is and whether somebody else is using it. Standard library only."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

NOTABLE_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


def cores() -> int:
    """Cores this process may use (so that taskset works)."""
    return len(os.sched_getaffinity(0))


def describe() -> dict[str, object]:
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    family = f"family {fields['cpu family']} model {fields.get('model', '?')}" if "cpu family" in fields else ""
    return {
        "cpu": " ".join(filter(None, [fields.get("model name", platform.machine()), family and f"({family})"])),
        "isa": [flag for flag in NOTABLE_FLAGS if flag in flags],
        "cores": cores(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


@dataclass
class Watch:
    """How busy the machine was with others' work, as a share of its cores, between start and stop()."""

    busy: float
    children: float
    wall: float

    @staticmethod
    def _busy() -> float:
        # user nice system idle iowait irq softirq steal: all but idle and iowait, time stolen by other guests included.
        ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _children() -> float:
        times = os.times()
        return times.children_user + times.children_system

    @classmethod
    def start(cls) -> Watch:
        return cls(cls._busy(), cls._children(), time.monotonic())

    def stop(self) -> float:
        wall = time.monotonic() - self.wall
        others = (self._busy() - self.busy) - (self._children() - self.children)
        return max(0.0, others / (wall * (os.cpu_count() or 1)))
