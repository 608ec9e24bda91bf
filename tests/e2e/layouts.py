"""Rewrites a checkpoint in another layout: other tensor names, other config keys, other file formats. Standard library only."""
import collections
import json
import pathlib
import pickle
import shutil
import struct
import sys
import types
import zipfile


def read_safetensors(path):
    """name -> (dtype, shape, bytes)"""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    return {
        name: (entry["dtype"], entry["shape"], data[entry["data_offsets"][0] : entry["data_offsets"][1]])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def write_torch(path, tensors):
    """What torch.save writes: a zip with a pickle, which names its tensors' storages by persistent ids."""

    class FloatStorage:
        pass

    class Storage:
        def __init__(self, key, count):
            self.key, self.count = key, count

    class Tensor:
        def __init__(self, storage, shape, strides):
            self.storage, self.shape, self.strides = storage, shape, strides

        def __reduce__(self):
            hooks = collections.OrderedDict()
            return rebuild, (self.storage, 0, tuple(self.shape), tuple(self.strides), False, hooks)

    def rebuild(*_):
        raise AssertionError("only its name is written")

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor_v2"
    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    modules = {"torch": types.ModuleType("torch"), "torch._utils": types.ModuleType("torch._utils")}
    modules["torch"].FloatStorage, modules["torch._utils"]._rebuild_tensor_v2 = FloatStorage, rebuild

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", FloatStorage, value.key, "cpu", value.count) if isinstance(value, Storage) else None

    state, blobs = collections.OrderedDict(), {}
    for name, (dtype, shape, data) in tensors.items():
        assert dtype == "F32", dtype
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
        key = str(len(blobs))
        blobs[key] = data
        state[name] = Tensor(Storage(key, len(data) // 4), shape, strides)
    saved = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            with archive.open("archive/data.pkl", "w") as file:
                Pickler(file, protocol=2).dump(state)
            archive.writestr("archive/byteorder", "little")
            for key, data in blobs.items():
                archive.writestr(f"archive/data/{key}", data)
            archive.writestr("archive/version", "3\n")
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Layout:
    """A copy of a checkpoint that is being rewritten: change `config` and `tensors`, then write()."""

    def __init__(self, source, target):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("golden.*"))
        self.directory = pathlib.Path(target)
        self.config = json.loads((self.directory / "config.json").read_text())
        self.tensors = read_safetensors(self.directory / "model.safetensors")

    def prefix(self, text, except_for=()):
        self.rename(lambda name: name if name.startswith(tuple(except_for) or ("\0",)) else text + name)

    def rename(self, change):
        self.tensors = {change(name): tensor for name, tensor in self.tensors.items()}

    def rows(self, name, count):
        """Pads with rows of a number that must never be read as an embedding of a token."""
        dtype, shape, data = self.tensors[name]
        assert dtype == "F32"
        row = struct.pack("<f", 7.0) * shape[1]
        self.tensors[name] = (dtype, [count, shape[1]], data + row * (count - shape[0]))

    def split(self, name, parts):
        """name -> parts, each an equal share of its rows"""
        dtype, shape, data = self.tensors.pop(name)
        size = len(data) // len(parts)
        for i, part in enumerate(parts):
            self.tensors[part] = (dtype, [shape[0] // len(parts), *shape[1:]], data[i * size : (i + 1) * size])

    def keys(self, renamed=None, removed=(), **added):
        for old, new in (renamed or {}).items():
            self.config[new] = self.config.pop(old)
        for key in removed:
            self.config.pop(key, None)
        self.config.update(added)

    def write(self, form="safetensors"):
        (self.directory / "config.json").write_text(json.dumps(self.config))
        (self.directory / "model.safetensors").unlink()
        if form == "safetensors":
            write_safetensors(self.directory / "model.safetensors", self.tensors)
        elif form == "torch":
            write_torch(self.directory / "pytorch_model.bin", self.tensors)
        else:  # shards
            names = sorted(self.tensors)
            ending = "bin" if form == "torch shards" else "safetensors"
            stem = "pytorch_model" if form == "torch shards" else "model"
            index = {}
            for i, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :])):
                shard = f"{stem}-{i + 1:05}-of-00002.{ending}"
                index.update(dict.fromkeys(part, shard))
                write = write_torch if ending == "bin" else write_safetensors
                write(self.directory / shard, {name: self.tensors[name] for name in part})
            (self.directory / f"{stem}.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
        return self.directory
