"""Times sentence-transformers (torch, float32, SDPA) on one model: reads JSON lines {"texts": FILE, "batch": N, "runs": N} and
answers each with {"tokens": N, "seconds": [...]}, one for each pass."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerFast

import texts as text_files


def main() -> None:
    directory, cores = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(cores)
    model = SentenceTransformer(
        directory, device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "sdpa"}
    )
    # The file as it is: of a Qwen2's directory transformers makes a tokenizer of Qwen2's kind, with three times the tokens.
    model[0].processor = PreTrainedTokenizerFast.from_pretrained(directory)
    for line in sys.stdin:
        job = json.loads(line)
        texts = text_files.read(Path(job["texts"]))
        seconds = []
        tokens = sum(model.preprocess([text])["input_ids"].numel() for text in texts)
        # A whole batch; where one text takes half a minute, its beginning.
        warm = [text[:4000] for text in texts[: job["batch"]]]
        model.encode(warm, batch_size=job["batch"], show_progress_bar=False)
        for _ in range(job["runs"]):
            start = time.perf_counter()
            if job["single"]:
                for text in texts:
                    model.encode([text], show_progress_bar=False)
            else:
                model.encode(texts, batch_size=job["batch"], show_progress_bar=False)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"tokens": tokens, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
