#!/usr/bin/env python3
"""A text's vector is the same to the last bit, alone and in any batch.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import unittest

from cli import DATA, Case, jsonl, rows, wde


class BatchInvariance(Case):
    def test_alone_and_in_batches_bit_equal(self):
        probe = "the quick brown fox jumps over the lazy dog"
        for name in ("bert-mean", "roberta-mean"):
            if not (DATA / name).is_dir():
                continue
            alone = rows(wde("embed", probe, model=DATA / name))[0]["embedding"]
            for size in (7, 64):
                texts = [f"{'filler ' * (i % 23)}{i}" for i in range(size)]
                texts[size // 2] = probe
                found = rows(wde("embed", "--input", "-", model=DATA / name, stdin=jsonl(*texts)))
                self.assertEqual(found[size // 2]["embedding"], alone, (name, size))


if __name__ == "__main__":
    unittest.main()
