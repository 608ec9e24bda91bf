#!/usr/bin/env python3
"""Makes the files of this folder with PyTorch: python3 make.py [DIRECTORY]. tests/unit/torch_file_test.cc knows their values.

colbert_linear.pt and sparse_linear.pt are not made here: they belong to a small model with the heads of BGE-M3.
"""
import collections
import pathlib
import sys

import torch


def main():
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)

    def save(name, value, **options):
        torch.save(value, directory / name, **options)

    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64, "i64": torch.int64,
             "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool, "c64": torch.complex64}
    save("dtypes.pt", {name: torch.tensor([0, 1, 1], dtype=dtype) for name, dtype in types.items()})

    base = torch.arange(24, dtype=torch.float32)
    save("views.pt", collections.OrderedDict(
        whole=base, tied=base, part=base[8:20].view(3, 4), transposed=base.view(4, 6).t(), columns=base.view(4, 6)[:, 1:3],
        swapped=base.view(2, 3, 4).permute(2, 0, 1), one=base[5:6].view(1, 1), scalar=base[7], empty=base[:0].view(0, 3),
        strange=base.as_strided((1, 2), (1 << 40, 1), 3)))
    save("repeated.pt", {"t": torch.zeros(1).expand(1000, 1000)})

    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.copy_(torch.tensor([3.0]))
    save("module.pt", layer.state_dict())
    save("parameters.pt", dict(layer.named_parameters()))
    save("training.pt", {"state_dict": layer.state_dict(), "epoch": 3, "best": 0.5, "name": "tiny", "done": True, "note": None,
                         "seed": 1 << 70, "step": -1})
    save("optimizer.pt", {"state_dict": layer.state_dict(), "optimizer": {"lr": 0.5}})
    for protocol in (3, 4, 5):
        save(f"protocol{protocol}.pt", layer.state_dict(), pickle_protocol=protocol)
    save("many.pt", {f"layer.{i}.bias": base[i % 24] for i in range(50)})
    save("legacy.pt", layer.state_dict(), _use_new_zipfile_serialization=False)
    save("size.pt", {"t": base[:2], "shape": base.shape})
    save("object.pt", layer)
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(directory / "script.pt"))


if __name__ == "__main__":
    main()
