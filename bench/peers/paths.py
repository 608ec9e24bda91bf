"""Where things are kept. Everything that can be made again lives in the user's cache, never in the repository."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


def cache() -> Path:
    """The project's cache: ${XDG_CACHE_HOME:-~/.cache}/wde."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wde"


def work() -> Path:
    """Converted models, texts, references: the cache's part of this benchmark."""
    path = cache() / "peers"
    path.mkdir(parents=True, exist_ok=True)
    return path
