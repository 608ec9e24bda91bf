"""The peers. Each is loaded from a variant (its ways of using the cores) and turns texts into unit vectors.

Imports are inside the classes: a process pays for the one peer it measures, in time and in memory.
Every peer tokenises with the Rust tokenisers, inside encode(), so that it is timed for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import tokenise

Vectors = NDArray[np.float32]


class Engine(Protocol):
    def encode(self, texts: list[str], batch_size: int) -> Vectors:
        """One unit vector per text, in the order of the texts."""


class SentenceTransformers:
    """torch float32, through the package's own encode(), which sorts by length and pads to the longest."""

    def __init__(self, model: Path, converted: Path, cores: int, attention: str) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(cores)
        self._model = SentenceTransformer(
            str(model), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": attention}
        )
        self._model.max_seq_length = tokenise.MAX_LENGTH

    def encode(self, texts: list[str], batch_size: int) -> Vectors:
        return self._model.encode(
            texts, batch_size=batch_size, show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=False
        )  # the model's last module normalises


class OnnxRuntime:
    """The graph fused for BERT, float32. `parallel` batches at a time, each with `threads` threads."""

    FILE = "model.onnx"

    def __init__(self, model: Path, converted: Path, cores: int, parallel: int, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            str(converted / self.FILE), options, providers=["CPUExecutionProvider"]
        )
        self._tokeniser = tokenise.load_tokeniser(model)
        self._map = mapper(parallel)
        # The optimiser may have narrowed the inputs to int32; ask the graph.
        self._dtype = np.int64 if "int64" in self._session.get_inputs()[0].type else np.int32

    def _run(self, batch: tokenise.Batch) -> Vectors:
        ids, mask = batch.padded(self._dtype)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self._session.run(["embedding"], feed)[0]

    def encode(self, texts: list[str], batch_size: int) -> Vectors:
        work = tokenise.batches(self._tokeniser, texts, batch_size)
        return collect(len(texts), work, self._map(self._run, work))


class OnnxRuntimeInt8(OnnxRuntime):
    """The same graph with int8 products."""

    FILE = "model-int8.onnx"


class OpenVino:
    """Float32 (not the bfloat16 it would choose by itself on some CPUs), through an AsyncInferQueue."""

    def __init__(self, model: Path, converted: Path, cores: int, hint: str) -> None:
        import openvino

        core = openvino.Core()
        self._model = core.compile_model(
            str(converted / "openvino.xml"),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": cores},
        )
        self._queue = openvino.AsyncInferQueue(self._model)  # as many requests as the compiled model asks for
        self._queue.set_callback(self._finish)
        self._single = self._model.create_infer_request()
        self._tokeniser = tokenise.load_tokeniser(model)

    @staticmethod
    def _inputs(batch: tokenise.Batch) -> dict[str, NDArray[np.integer]]:
        ids, mask = batch.padded(np.int64)
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    @staticmethod
    def _finish(request: object, target: tuple[Vectors, list[int]]) -> None:
        vectors, rows = target
        vectors[rows] = request.get_output_tensor(0).data  # type: ignore[attr-defined]

    def encode(self, texts: list[str], batch_size: int) -> Vectors:
        vectors = np.empty((len(texts), self._model.output(0).partial_shape[1].get_length()), np.float32)
        work = tokenise.batches(self._tokeniser, texts, batch_size)
        if len(work) == 1:  # no queue in the way of a single text
            self._single.infer(self._inputs(work[0]), share_inputs=True)
            self._finish(self._single, (vectors, work[0].rows))
            return vectors
        for batch in work:
            self._queue.start_async(self._inputs(batch), (vectors, batch.rows))
        self._queue.wait_all()
        return vectors


class CTranslate2:
    """Float32 encoder; it drops padding by itself. `parallel` batches at a time, each with `threads` threads."""

    COMPUTE_TYPE = "float32"

    def __init__(self, model: Path, converted: Path, cores: int, parallel: int, threads: int) -> None:
        import ctranslate2

        self._encoder = ctranslate2.Encoder(
            str(converted / "ctranslate2"),
            device="cpu",
            compute_type=self.COMPUTE_TYPE,
            inter_threads=parallel,
            intra_threads=threads,
        )
        self._tokeniser = tokenise.load_tokeniser(model)
        self._map = mapper(parallel)

    def _run(self, batch: tokenise.Batch) -> Vectors:
        import ctranslate2

        ids, mask = batch.padded(np.int32)
        output = self._encoder.forward_batch(
            ctranslate2.StorageView.from_array(ids),
            ctranslate2.StorageView.from_array(mask.sum(1, dtype=np.int32)),
        )
        return tokenise.mean_pool(np.asarray(output.last_hidden_state), mask)

    def encode(self, texts: list[str], batch_size: int) -> Vectors:
        work = tokenise.batches(self._tokeniser, texts, batch_size)
        return collect(len(texts), work, self._map(self._run, work))


class CTranslate2Int8(CTranslate2):
    """The same with int8 products, the rest in float32."""

    COMPUTE_TYPE = "int8_float32"


Map = Callable[[Callable[[tokenise.Batch], Vectors], list[tokenise.Batch]], Iterable[Vectors]]


def mapper(parallel: int) -> Map:
    """map() over this many threads; the runtimes let go of Python's lock while they compute."""
    if parallel == 1:
        return map
    return ThreadPoolExecutor(parallel).map


def collect(count: int, work: list[tokenise.Batch], results: Iterable[Vectors]) -> Vectors:
    vectors: Vectors | None = None
    for batch, result in zip(work, results, strict=True):
        if vectors is None:
            vectors = np.empty((count, result.shape[1]), np.float32)
        vectors[batch.rows] = result
    assert vectors is not None
    return vectors


ENGINES: dict[str, type[Engine]] = {
    "sentence-transformers": SentenceTransformers,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "ctranslate2": CTranslate2,
    "onnxruntime-int8": OnnxRuntimeInt8,
    "ctranslate2-int8": CTranslate2Int8,
}
