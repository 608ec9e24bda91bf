"""Starts one measured process and reads the JSON object it prints."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

import machine

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
QUIET = {
    "CI": "true",  # OpenVINO's converter sends usage reports otherwise
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


class Failed(RuntimeError):
    """The process did not end well; the message has the end of what it wrote."""


def environment(cores: int, extra: dict[str, str]) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(cores), "RAYON_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "true"}
    return {**os.environ, **OFFLINE, **QUIET, **threads, **extra}


def run(command: list[str], environment: dict[str, str], timeout: float | None = None) -> str:
    """Standard output of the command.

    A small shell stands between: the kernel's peak-memory figure of a process starts at that of its parent, and this
    way the parent is the shell, not Python with everything it has loaded.
    """
    started = {"WDE_PEERS_STARTED": repr(time.monotonic())}
    process = subprocess.Popen(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command],
        env={**environment, **started},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a timeout can end the shell and what it runs
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException as problem:
        os.killpg(process.pid, 9)
        process.communicate()
        if isinstance(problem, subprocess.TimeoutExpired):
            raise Failed(f"took more than {timeout:.0f} s") from None
        raise
    if process.returncode != 0:
        tail = "\n".join(errors.strip().splitlines()[-15:])
        raise Failed(f"{' '.join(command[:4])} ... ended with status {process.returncode}\n{tail}")
    return output


def run_json(command: list[str], environment: dict[str, str], timeout: float | None = None) -> dict[str, Any]:
    """The object on the last line of standard output that is one (or all of it), and the others' share of the CPU."""
    watch = machine.Watch.start()
    output = run(command, environment, timeout)
    others, wall = watch.stop(), time.monotonic() - watch.wall
    try:
        result = json.loads(output)
    except json.JSONDecodeError:
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise Failed(f"{command[0]} printed no JSON object: {output[:200]!r}") from None
        result = json.loads(lines[-1])
    return {**result, "others_cpu_share": others, "wall_seconds": wall}
