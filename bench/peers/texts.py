#!/usr/bin/env python3
"""Makes the texts of the benchmark: English descriptions of Debian packages, one JSON string a line.

They come from the Translation-en files that apt keeps. The same lists give the same texts: descriptions are joined to
one line each, duplicates dropped, sorted, and drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LISTS = Path("/var/lib/apt/lists")
APT_HELPER = "/usr/lib/apt/apt-helper"
FETCH = "apt-get -o Acquire::Languages=en update"
SEED = 0


class ListsMissing(RuntimeError):
    """There is no Translation-en list on this machine."""


def list_files() -> list[Path]:
    # The release's own list only: updates and security lists change from day to day.
    names = ("*_main_i18n_Translation-en", "*_main_i18n_Translation-en.*")  # the second is compressed
    found = sorted(path for name in names for path in LISTS.glob(name))
    release = [path for path in found if "-updates_" not in path.name and "security" not in path.name]
    return release or found


def fetch_lists() -> None:
    if not shutil.which("apt-get"):
        raise ListsMissing("no apt on this system: make the texts on Debian and pass them with --texts FILE")
    print(f"No English descriptions in {LISTS}; running: {FETCH}", file=sys.stderr)
    if subprocess.run(FETCH.split(), stdout=subprocess.DEVNULL).returncode != 0 or not list_files():
        raise ListsMissing(f"no Translation-en list in {LISTS}. Run as root:  {FETCH}")


def read_list(path: Path) -> str:
    return subprocess.run([APT_HELPER, "cat-file", str(path)], check=True, capture_output=True).stdout.decode("utf-8")


def descriptions(content: str) -> Iterator[str]:
    """One line per package: the short description, then the long one without its indentation and ' .' lines."""
    for stanza in content.split("\n\n"):
        words: list[str] = []
        inside = False
        for line in stanza.split("\n"):
            if line.startswith("Description-en:"):
                inside = True
                words += line.removeprefix("Description-en:").split() + ["\n"]
            elif inside and line.startswith(" "):
                if line.strip() != ".":
                    words += line.split()
            else:
                inside = False
        if words:
            # The short description is a title without a full stop; give it one so that the text reads as prose.
            title = words.index("\n")
            yield " ".join(words[:title]) + ". " + " ".join(words[title + 1:])


def all_descriptions() -> list[str]:
    if not list_files():
        fetch_lists()
    return sorted({text.strip() for path in list_files() for text in descriptions(read_list(path))})


def draw(count: int) -> Iterator[str]:
    """Draws `count` texts; without repeats while there are enough, then round after round."""
    pool = all_descriptions()
    generator = random.Random(SEED)
    while count > 0:
        part = min(count, len(pool))
        yield from generator.sample(pool, part)
        count -= part


def write(path: Path | None, count: int) -> None:
    out = path.open("w", encoding="utf-8") if path else sys.stdout
    with out:
        for text in draw(count):
            out.write(json.dumps(text, ensure_ascii=False) + "\n")


def read(path: Path) -> list[str]:
    """Reads JSONL of strings."""
    with path.open(encoding="utf-8") as file:
        texts = [json.loads(line) for line in file if line.strip()]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path}: expected one JSON string on every line")
    return texts


def short_texts(texts: list[str], count: int, words: int = 12) -> list[str]:
    """Texts of 12 words, cut one after the other from the words of all texts: the same as `wde bench` makes."""
    stream = itertools.cycle([word for text in texts for word in re.split("[ \\t\\r\\n]+", text) if word])
    return [" ".join(itertools.islice(stream, words)) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Examples:\n"
        "  bench/peers/texts.py --out texts.jsonl                the benchmark's 1,000 texts\n"
        "  bench/peers/texts.py --count 1000000 | wde embed ...  a long stream\n"
        f"If the list is missing, run as root:  {FETCH}",
    )
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="how many texts (default: 1000)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: standard output)")
    arguments = parser.parse_args()
    try:
        write(arguments.out, arguments.count)
    except ListsMissing as problem:
        sys.exit(f"texts.py: {problem}")
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
