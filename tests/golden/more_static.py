"""Golden checkpoints of static models, which are tables of vectors; make_more.py writes them."""
import shutil

import torch

from checkpoint import Checkpoint, spec


def static(name):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    c = Checkpoint(name, "bert-mean")
    shutil.rmtree(c.directory)
    table = torch.randn(c.vocabulary, 32)
    tokenizer = Tokenizer.from_file(str(c.like / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu").save(str(c.directory))
    (c.directory / "README.md").unlink(missing_ok=True)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in c.golden["inputs"]]
    keep = [i for i, row in enumerate(ids) if row]
    c.golden.update(inputs=[c.golden["inputs"][i] for i in keep], max_length=4096, special_tokens=False)
    vectors = SentenceTransformer(str(c.directory), device="cpu").encode(c.golden["inputs"], convert_to_tensor=True).cpu()
    import sentence_transformers
    c.record(lambda row, i: {"embedding": vectors[i]}, f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}",
             [ids[i] for i in keep])


@spec(seed=111)
def static_embedding():
    static("static-embedding")


def from_model2vec(name, like, dtype, max_length, normalize, mapped=False, modules=False, more=()):
    """Saved and read by model2vec itself; float16 tables are read as float32, which is what is compared with."""
    import model2vec
    import numpy as np
    from tokenizers import Tokenizer

    c = Checkpoint(name, like)
    for file in c.directory.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    tokenizer = Tokenizer.from_file(str(c.like / "tokenizer.json"))
    size, random = tokenizer.get_vocab_size(), np.random.default_rng(len(name))
    rows = 300 if mapped else size
    vectors = random.standard_normal((rows, 32))
    vectors = np.round(vectors * 40).astype(np.int8) if dtype == np.int8 else vectors.astype(dtype)
    parts = {"token_mapping": random.integers(0, rows, size), "weights": random.random(size)} if mapped else {}
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "tokenizer_name": "baai/bge-base-en-v1.5", "apply_pca": 32, "apply_zipf": True,
              "hidden_dim": 32, "seq_length": 1000000}
    model2vec.StaticModel(vectors, tokenizer, config, normalize=normalize, **parts).save_pretrained(c.directory)
    (c.directory / "README.md").unlink(missing_ok=True)
    if not modules:  # as old versions and hands leave it
        (c.directory / "modules.json").unlink()
    model = model2vec.StaticModel.from_pretrained(c.directory)
    if model.embedding.dtype == np.float16:
        model.embedding = model.embedding.astype(np.float32)
    inputs = [*c.golden["inputs"], *more]
    vectors = model.encode(inputs, max_length=max_length)
    model.max_length = max_length
    ids = model.tokenize([text[: max_length * model.median_token_length] for text in inputs])
    keep = [i for i, row in enumerate(ids) if row]
    c.golden.update(inputs=[inputs[i] for i in keep], max_length=max_length)
    for key in ("special_tokens", "bidirectional"):
        c.golden.pop(key, None)
    c.golden.update(special_tokens=False, bidirectional=True, left_out=model.unk_token_id)
    vectors = torch.from_numpy(vectors[keep].astype(np.float32))
    c.record(lambda row, i: {"embedding": vectors[i]}, f"model2vec {model2vec.__version__}", [ids[i] for i in keep])


LONG = ("a" + " " * 9000 + "b", "unknown \u16a0\u16a1 runes", "x " * 3000)


@spec(seed=112)
def model2vec():
    from_model2vec("model2vec", "bert-mean", "float16", 512, normalize=True, modules=True, more=LONG)


@spec(seed=113)
def model2vec_mapped():
    from_model2vec("model2vec-mapped", "bert-mean", "float32", 64, normalize=False, mapped=True, more=LONG)


@spec(seed=114)
def model2vec_int8():
    import numpy as np

    from_model2vec("model2vec-int8", "xlm-roberta-cls", np.int8, 64, normalize=True, more=LONG)
