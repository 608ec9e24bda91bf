"""Golden checkpoints of static models, which are tables of vectors; make_more.py writes them."""
import shutil

import torch
from safetensors.torch import save_file

from checkpoint import Checkpoint, spec


def static(name, layout):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    c = Checkpoint(name, "bert-mean")
    shutil.rmtree(c.directory)
    table = torch.randn(c.vocabulary, 32)
    tokenizer = Tokenizer.from_file(str(c.like / "tokenizer.json"))
    if layout == "sentence-transformers":
        SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu").save(str(c.directory))
        (c.directory / "README.md").unlink(missing_ok=True)
    else:
        c.directory.mkdir()
        tokenizer.save(str(c.directory / "tokenizer.json"))
        save_file({"embeddings": table.half()}, c.directory / "model.safetensors")
        c.write_json("config.json", {"model_type": "model2vec", "architectures": ["StaticModel"], "tokenizer_name": "baai/bge-base-en-v1.5",
                                     "apply_pca": 32, "apply_zipf": True, "hidden_dim": 32, "seq_length": 1000000, "normalize": True})
        c.write_json("modules.json", [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
                                      {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}])
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in c.golden["inputs"]]
    keep = [i for i, row in enumerate(ids) if row]
    c.golden.update(inputs=[c.golden["inputs"][i] for i in keep], max_length=4096, special_tokens=False)
    if layout == "sentence-transformers":
        vectors = SentenceTransformer(str(c.directory), device="cpu").encode(c.golden["inputs"], convert_to_tensor=True).cpu()
    else:  # sentence-transformers keeps float16; float32 is what is compared with
        modules = [StaticEmbedding(tokenizer, embedding_weights=table.half().float()), Normalize()]
        vectors = SentenceTransformer(modules=modules, device="cpu").encode(c.golden["inputs"], convert_to_tensor=True).cpu()
    import sentence_transformers
    c.record(lambda row, i: {"embedding": vectors[i]}, f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}",
             [ids[i] for i in keep])


@spec(seed=111)
def static_embedding():
    static("static-embedding", "sentence-transformers")


@spec(seed=112)
def model2vec():
    static("model2vec", "model2vec")
