"""What every golden checkpoint of make_more.py is made with: a directory beside the others, weights, the record of the reference's answers."""
import json
import pathlib
import re
import shutil

import torch
import transformers as T
from safetensors.torch import save_file

MODELS = pathlib.Path(__file__).resolve().parent / "models"
SPECS = {}  # name -> (seed, function)
SMALLER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=56, max_position_embeddings=512)
SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, max_position_embeddings=512)


def spec(seed):
    """Registers the function under its name. `seed`: the one that the files in models/ were made with, wherever the function stands."""
    def register(function):
        SPECS[function.__name__.replace("_", "-")] = seed, function
        return function

    return register


def shake(model):
    """The default weights are too tame to catch a swapped norm or a missing bias."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.dim() == 1 else 0.08))
    return model.eval().float()


def random_tensors(shapes):
    out = {}
    for name, shape in shapes.items():
        norm = re.search(r"(LayerNorm|layernorm|layer_norm\w*|norm\d|emb_ln)\.weight$", name)
        out[name] = torch.randn(shape) * (0.2 if len(shape) == 1 else 0.12) + (1.0 if norm else 0.0)
    return out


class Checkpoint:
    """A directory with the tokenizer, inputs and sentence-transformers files of `like`."""

    def __init__(self, name, like):
        self.directory, self.like = MODELS / name, MODELS / like
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        for file in ("tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
            if (self.like / file).exists():
                shutil.copy(self.like / file, self.directory / file)
        if (self.like / "1_Pooling").exists():
            shutil.copytree(self.like / "1_Pooling", self.directory / "1_Pooling")
        self.golden = json.loads((self.like / "golden.json").read_text())
        self.vocabulary = json.loads((self.like / "config.json").read_text())["vocab_size"]

    def write_json(self, name, value):
        (self.directory / name).write_text(json.dumps(value, indent=1))

    def record(self, outputs, reference=None, ids=None):
        """outputs(ids, i) -> {name: array} for one input; hidden only for the first."""
        arrays = {}
        ids = ids or self.golden["ids"]
        with torch.no_grad():
            for i, row in enumerate(ids):
                if row:
                    arrays.update({f"{k}.{i}": v.clone().contiguous() for k, v in outputs(row, i).items() if k != "hidden" or i < 4})
        save_file(arrays, self.directory / "golden.safetensors")
        kinds = {}
        for key, value in arrays.items():
            kinds.setdefault(key.split(".")[0], list(value.shape))
        reference = reference or f"transformers {T.__version__}, torch {torch.__version__}"
        golden = {**self.golden, "ids": ids, "outputs": kinds, "reference": reference}
        (self.directory / "golden.json").write_text(json.dumps(golden, ensure_ascii=False))
        size = sum(f.stat().st_size for f in self.directory.rglob("*") if f.is_file())
        print(self.directory.name, size // 1024, "KiB", kinds)


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def pooled(h, mode):
    vector = {"mean": lambda: h.mean(0), "cls": lambda: h[0], "lasttoken": lambda: h[-1]}[mode]()
    return {"hidden": h, "embedding": unit(vector)}


def run(model, row, **more):
    return model(input_ids=torch.tensor([row]), **more)


def save_transformers(checkpoint, model, architecture):
    model.config.architectures = [architecture]
    model.save_pretrained(checkpoint.directory)
