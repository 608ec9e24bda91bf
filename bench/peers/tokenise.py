"""What the peers without a text interface of their own share: tokenising, sorting by length, batches, pooling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

MAX_LENGTH = 256


def load_tokeniser(model: Path, max_length: int = MAX_LENGTH) -> Tokenizer:
    """The Rust tokeniser of the model; its file asks for 128 tokens and fixed padding, the model for 256 and none."""
    tokeniser = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokeniser.enable_truncation(max_length)
    tokeniser.no_padding()
    return tokeniser


def token_counts(tokeniser: Tokenizer, texts: list[str]) -> list[int]:
    """Real tokens of each text: special ones included, padding not."""
    return [len(encoding.ids) for encoding in tokeniser.encode_batch_fast(texts)]


@dataclass(frozen=True)
class Batch:
    rows: list[int]  # which texts, as positions in the input
    ids: list[list[int]]

    def padded(self, dtype: type[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Token ids and attention mask, padded to the longest text of the batch."""
        lengths = [len(ids) for ids in self.ids]
        tokens = np.zeros((len(lengths), max(lengths)), dtype)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(self.ids):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        return tokens, mask


def batches(tokeniser: Tokenizer, texts: list[str], size: int) -> list[Batch]:
    """Tokenises all texts on all cores and cuts them into batches, longest texts first, so that padding is rare."""
    encodings: list[Encoding] = tokeniser.encode_batch_fast(texts)
    ids = [encoding.ids for encoding in encodings]
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    return [
        Batch(order[start : start + size], [ids[row] for row in order[start : start + size]])
        for start in range(0, len(order), size)
    ]


def mean_pool(hidden: NDArray[np.float32], mask: NDArray[np.integer]) -> NDArray[np.float32]:
    """Mean over real tokens, then length 1. A matrix product: the fastest way numpy has to add up masked rows."""
    pooled = np.matmul(mask.astype(np.float32)[:, None, :], hidden)[:, 0, :]
    # The division by the count of tokens would be undone by the norm.
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
