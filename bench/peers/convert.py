"""Converts the model for each peer, once, into the cache. Run as a program so that its memory and threads are its own.

  python convert.py --model DIR --out DIR

Writes model.onnx (optimised for BERT by onnxruntime.transformers), the same with int8 weights as model-int8.onnx,
openvino.xml, ctranslate2/ and info.json.
Pooling and normalisation are part of the ONNX and OpenVINO graphs; CTranslate2 has no operator for them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Embedder(torch.nn.Module):
    """BERT, mean over real tokens, L2 norm."""

    def __init__(self, model: Path, attention: str) -> None:
        super().__init__()
        self.bert = AutoModel.from_pretrained(
            model, attn_implementation=attention, dtype=torch.float32, add_pooling_layer=False
        )

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        hidden = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, p=2, dim=1)


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 2000, (2, 16)))
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    return ids, mask, torch.zeros_like(ids)


def to_onnx(model: Path, out: Path) -> dict[str, int]:
    """Exports and fuses. Eager attention through the TorchScript exporter is the form the BERT optimiser recognises."""
    from onnxruntime.transformers import optimizer

    plain = out / "plain.onnx"
    with torch.no_grad():
        torch.onnx.export(
            Embedder(model, "eager").eval(),
            example(),
            str(plain),
            dynamo=False,
            opset_version=17,
            input_names=INPUTS,
            output_names=["embedding"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in INPUTS} | {"embedding": {0: "batch"}},
        )
    config = AutoConfig.from_pretrained(model)
    layers = config.num_hidden_layers
    fused = optimizer.optimize_model(
        str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size,
        opt_level=0, only_onnxruntime=False,
    )
    # What a BERT must have after fusion; anything less and ONNX Runtime would not be at its best.
    expected = {"EmbedLayerNormalization": 1, "Attention": layers, "SkipLayerNormalization": 2 * layers,
                "BiasGelu": layers}
    fused.save_model_to_file(str(out / "model.onnx"))
    plain.unlink()
    counts = {name: count for name, count in fused.get_fused_operator_statistics().items() if count}
    if any(counts.get(name) != count for name, count in expected.items()):
        raise RuntimeError(f"the ONNX graph is not fused as it should be: found {counts}, expected {expected}")
    quantize(out)
    return counts


def quantize(out: Path) -> None:
    """Dynamic int8, as ONNX Runtime recommends it for transformers: weights by channel, activations when it runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ONNX's shape inference knows nothing of the fused operators, so it loses the types behind them.
    quantize_dynamic(str(out / "model.onnx"), str(out / "model-int8.onnx"), per_channel=True,
                     weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Attention"],
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


def to_openvino(model: Path, out: Path) -> None:
    """From the torch model, whose attention becomes one ScaledDotProductAttention operator; weights stay float32."""
    import openvino

    converted = openvino.convert_model(
        Embedder(model, "sdpa").eval(), example_input=dict(zip(INPUTS, example(), strict=True))
    )
    openvino.save_model(converted, str(out / "openvino.xml"), compress_to_fp16=False)


def to_ctranslate2(model: Path, out: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(model)).convert(str(out / "ctranslate2"), force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the sentence-transformers model")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the converted models go")
    arguments = parser.parse_args()

    warnings.filterwarnings("ignore")  # deprecations of the exporters: nothing a reader of the results can act on
    out: Path = arguments.out
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    fusions = to_onnx(arguments.model, temporary)
    print(f"ONNX graph, fused operators: {fusions}", file=sys.stderr)
    to_openvino(arguments.model, temporary)
    to_ctranslate2(arguments.model, temporary)
    (temporary / "info.json").write_text(json.dumps({"fused_operators": fusions}, indent=1) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)


if __name__ == "__main__":
    main()
