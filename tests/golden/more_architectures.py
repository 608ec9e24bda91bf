"""Golden checkpoints of architectures that transformers has; make_more.py writes them."""
import json
import shutil

import torch
import transformers as T

from checkpoint import MODELS, SMALL, SMALLER, Checkpoint, pooled, run, save_transformers, shake, spec


@spec(seed=100)
def camembert():
    c = Checkpoint("camembert", "xlm-roberta-cls")
    config = T.CamembertConfig(**{**SMALL, "max_position_embeddings": 514}, vocab_size=c.vocabulary, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5)
    model = shake(T.CamembertModel(config))
    save_transformers(c, model, "CamembertModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "cls"))


@spec(seed=101)
def mt5_encoder():
    c = Checkpoint("mt5-encoder", "t5-encoder")
    config = T.MT5Config(vocab_size=c.vocabulary, d_model=48, d_kv=16, d_ff=80, num_layers=2, num_heads=4, pad_token_id=1)
    model = shake(T.MT5EncoderModel(config))
    save_transformers(c, model, "MT5EncoderModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "mean"))


@spec(seed=102)
def eurobert():
    c = Checkpoint("eurobert", "modernbert")
    config = T.EuroBertConfig(**SMALL, vocab_size=c.vocabulary, num_key_value_heads=2, pad_token_id=3, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
    config._attn_implementation = "eager"
    model = shake(T.EuroBertModel(config))
    save_transformers(c, model, "EuroBertModel")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "cls"))


@spec(seed=103)
def deberta_conv():
    """DeBERTa-v2-xlarge's convolution behind the first layer."""
    c = Checkpoint("deberta-conv", "deberta-v2-reranker")
    config = T.AutoConfig.from_pretrained(c.like, num_hidden_layers=3, conv_kernel_size=3, conv_act="gelu")
    config._attn_implementation = "eager"
    model = shake(T.DebertaV2ForSequenceClassification(config))
    save_transformers(c, model, "DebertaV2ForSequenceClassification")
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})


def entity_finder(name, like, model_class, config):
    """The classes of tokens, and in entities.json what the pipeline makes of them under every strategy."""
    c = Checkpoint(name, like)
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (c.directory / file).unlink(missing_ok=True)
    shutil.rmtree(c.directory / "1_Pooling", ignore_errors=True)
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    config.num_labels, config.id2label, config.label2id = 5, dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    config._attn_implementation = "eager"
    model = shake(model_class(config))
    save_transformers(c, model, model_class.__name__)
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})
    tokenizer = T.AutoTokenizer.from_pretrained(c.directory, model_max_length=c.golden["max_length"])
    found = {}
    for strategy in ("none", "simple", "first", "average", "max"):
        pipeline = T.pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy)
        found[strategy] = [[{"label": e.get("entity", e.get("entity_group")), "score": float(e["score"]), "start": e["start"], "end": e["end"]}
                            for e in (pipeline(text) if text.strip() else [])] for text in c.golden["inputs"]]
    (c.directory / "entities.json").write_text(json.dumps(found))
    print({strategy: sum(map(len, lists)) for strategy, lists in found.items()})


@spec(seed=104)
def bert_ner_words():
    """Words by the mark of the tokens inside of them."""
    vocabulary = json.loads((MODELS / "bert-ner" / "config.json").read_text())["vocab_size"]
    entity_finder("bert-ner-words", "bert-ner", T.BertForTokenClassification, T.BertConfig(**SMALLER, vocab_size=vocabulary))


@spec(seed=105)
def xlm_roberta_ner():
    """Words by the blank before them."""
    vocabulary = json.loads((MODELS / "xlm-roberta-cls" / "config.json").read_text())["vocab_size"]
    config = T.XLMRobertaConfig(**{**SMALLER, "max_position_embeddings": 514}, vocab_size=vocabulary, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5)
    entity_finder("xlm-roberta-ner", "xlm-roberta-cls", T.XLMRobertaForTokenClassification, config)


def eurobert_classifier(name, pooling, like, labels):
    c = Checkpoint(name, like)
    c.vocabulary = json.loads((MODELS / like / "config.json").read_text())["vocab_size"]
    config = T.EuroBertConfig(**SMALLER, vocab_size=c.vocabulary, num_key_value_heads=2, pad_token_id=3, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5,
                              num_labels=labels, classifier_pooling=pooling)
    config._attn_implementation = "eager"
    model = shake(T.EuroBertForSequenceClassification(config))
    save_transformers(c, model, "EuroBertForSequenceClassification")
    c.record(lambda row, i: {"logits": run(model, row).logits[0]})


@spec(seed=103)
def eurobert_late():
    """The mean of the tokens' logits, which is what its config says unless it says another."""
    eurobert_classifier("eurobert-late", "late", "modernbert-reranker", 1)


@spec(seed=104)
def eurobert_bos():
    eurobert_classifier("eurobert-bos", "bos", "modernbert-reranker", 1)


@spec(seed=105)
def llama_bidirectional_reranker():
    """Llama-Nemotron's reranker: the mean of Llama's hidden states without the causal mask, and one row of weights (LlamaBidirectionalForSequenceClassification)."""
    c = Checkpoint("llama-bidirectional-reranker", "modernbert-reranker")
    config = T.LlamaConfig(**SMALLER, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, num_labels=1, pad_token_id=3)
    config._attn_implementation = "eager"
    model = shake(T.LlamaForSequenceClassification(config))
    save_transformers(c, model, "LlamaBidirectionalForSequenceClassification")
    written = json.loads((c.directory / "config.json").read_text())
    written.update(architectures=["LlamaBidirectionalForSequenceClassification"], model_type="llama_bidirec", pooling="avg", temperature=0.8)
    c.write_json("config.json", written)
    for layer in model.model.layers:
        layer.self_attn.is_causal = False

    def logits(row, i):
        hidden = run(model.model, row, attention_mask=torch.zeros(1, 1, len(row), len(row))).last_hidden_state[0]
        return {"logits": model.score(hidden.mean(0)) / 0.8}

    c.record(logits)


@spec(seed=103)
def llama_bidirectional():
    """Llama-Nemotron's embedder: LlamaBidirectionalModel is Llama without the causal mask; mean pooling."""
    c = Checkpoint("llama-bidirectional", "llm2vec-mistral")
    config = T.LlamaConfig(**SMALL, vocab_size=c.vocabulary, num_key_value_heads=2, head_dim=16, is_causal=False)
    config._attn_implementation = "eager"
    model = shake(T.LlamaModel(config))
    save_transformers(c, model, "LlamaBidirectionalModel")
    written = json.loads((c.directory / "config.json").read_text())
    written.pop("is_causal", None)
    written.update(architectures=["LlamaBidirectionalModel"], model_type="llama_bidirec", pooling="avg")
    c.write_json("config.json", written)
    for layer in model.layers:
        layer.self_attn.is_causal = False

    def both(row):
        mask = torch.zeros(1, 1, len(row), len(row))
        return run(model, row, attention_mask=mask).last_hidden_state[0]

    if len(c.golden["ids"][2]) > 2:  # the mask does what it should
        with torch.no_grad():
            row = c.golden["ids"][2]
            assert (both(row)[0] - both(row[:-1] + [7])[0]).abs().max() > 1e-4
    c.record(lambda row, i: pooled(both(row), "mean"))


@spec(seed=104)
def jina_v3_native():
    c = Checkpoint("jina-v3-native", "xlm-roberta-cls")
    shutil.rmtree(c.directory / "1_Pooling")
    shutil.copytree(MODELS / "roberta-mean" / "1_Pooling", c.directory / "1_Pooling")
    config = T.JinaEmbeddingsV3Config(**{**SMALL, "max_position_embeddings": 514}, vocab_size=c.vocabulary)
    config._attn_implementation = "eager"
    model = shake(T.JinaEmbeddingsV3Model(config))
    save_transformers(c, model, "JinaEmbeddingsV3Model")
    c.record(lambda row, i: pooled(run(model, row).last_hidden_state[0], "mean"))
