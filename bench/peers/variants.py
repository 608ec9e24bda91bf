"""Which set-ups of each peer are tried before measuring. Standard library only: the driver reads this too."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variant:
    """One way of setting a peer up; the fastest is measured, for bulk and for single texts on their own."""

    name: str
    options: dict[str, int | str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)  # must be there before the library is loaded


def splits(cores: int) -> list[tuple[int, int]]:
    """(parallel batches, threads for each): one batch on all cores, or one batch on each core."""
    return [(1, cores)] if cores == 1 else [(1, cores), (cores, 1)]


def of(peer: str, cores: int) -> list[Variant]:
    match peer.removesuffix("-int8"):
        case "sentence-transformers":
            return [Variant(kind, {"attention": kind}) for kind in ("sdpa", "eager")]
        case "onnxruntime":
            return [Variant(f"{p}x{t}", {"parallel": p, "threads": t}) for p, t in splits(cores)]
        case "openvino":
            return [Variant(hint.lower(), {"hint": hint}) for hint in ("THROUGHPUT", "LATENCY")]
        case "ctranslate2":
            # The library picks by CPU maker; on CPUs that are not Intel's, its other choices can be the faster ones.
            backends = {
                "default": {},
                "mkl": {"CT2_USE_MKL": "1"},
                "mkl-packed": {"CT2_USE_MKL": "1", "CT2_USE_EXPERIMENTAL_PACKED_GEMM": "1"},
            }
            return [
                Variant(f"{p}x{t} {name}", {"parallel": p, "threads": t}, environment)
                for p, t in splits(cores)
                for name, environment in backends.items()
            ]
    raise KeyError(peer)
