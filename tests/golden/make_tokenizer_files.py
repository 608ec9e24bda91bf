#!/usr/bin/env python3
"""What transformers makes of tokenizers whose files contradict or complete each other: tokenizer_files.json.

usage: make_tokenizer_files.py        with transformers 5.23, then with transformers 4.57: each run fills in the ids of its own cases

A case takes the tokenizer of a checkpoint in models/, sets keys of tokenizer.json ("tokenizer") and of config.json ("config", null removes), and writes the
other files ("files"). Transformers 4 is the reference where add_bos_token and add_eos_token count: that is what the models were trained and published
with, and version 5 takes tokenizer.json instead. Everywhere else both give the same ids, or the newer one is followed.
"""
import json
import os
import pathlib
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "tokenizer_files.json"
INPUTS = ["Hello World, naïve Café 中文!", "Foo <ent> bar <b> x<ent>y <Ent> [MASK] </s>", "", ["What is it?", "an <ent> and more"]]
CASES = []


def case(name, model, keys=None, tokenizer=None, config=None, files=None, reference=5, **more):
    files = dict(files or {})
    if keys is not None:
        files["tokenizer_config.json"] = keys
    CASES.append({"name": name, "model": model, "tokenizer": tokenizer or {}, "config": config or {}, "files": files, "reference": reference, **more})


def lay_out(case, directory):
    """As tests/e2e/test_tokenizer_files.py does it."""
    base = HERE / "models" / case["model"]
    for name, keys in (("tokenizer.json", case["tokenizer"]), ("config.json", case["config"])):
        content = json.loads((base / name).read_text())
        content.update(keys)
        (directory / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None or name == "tokenizer.json"}))
    for name, content in case["files"].items():
        (directory / name).write_text(json.dumps(content))


def template(*tokens):
    """Around a text: the tokens before "A" and behind it. Of a pair both texts are framed."""
    def part(which, type_id):
        return [{"Sequence": {"id": which, "type_id": type_id}} if t == "A" else {"SpecialToken": {"id": t[0], "type_id": type_id}} for t in tokens]

    special = {t[0]: {"id": t[0], "ids": [t[1]], "tokens": [t[0]]} for t in tokens if t != "A"}
    return {"post_processor": {"type": "TemplateProcessing", "single": part("A", 0), "pair": part("A", 0) + part("B", 1), "special_tokens": special}}


BOS, EOS, END = ("<s>", 1), ("</s>", 2), ("<|endoftext|>", 0)
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
ADDED = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def frames():
    old = {"reference": 4, "tokenizer": template(BOS, "A")}
    hub = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True, **LLAMA}
    case("e5-mistral", "e5-mistral", hub, **old)
    case("llama-fast", "e5-mistral", {**hub, "tokenizer_class": "LlamaTokenizerFast"}, **old)
    case("llama-class-of-config", "e5-mistral", {k: v for k, v in hub.items() if k != "tokenizer_class"}, config={"tokenizer_class": "LlamaTokenizer"}, **old)
    case("llama-class-of-type", "e5-mistral", {k: v for k, v in hub.items() if k != "tokenizer_class"}, **old)
    case("llama-eos-alone", "e5-mistral", {"tokenizer_class": "LlamaTokenizer", "add_eos_token": True, **LLAMA}, **old)
    case("llama-bos-false", "e5-mistral", {**hub, "add_bos_token": False}, **old)
    case("llama-both-false", "e5-mistral", {**hub, "add_bos_token": False, "add_eos_token": False}, **old)
    case("llama-null", "e5-mistral", {**hub, "add_bos_token": None}, **old)
    case("llama-no-post-processor", "e5-mistral", hub, reference=4, tokenizer={"post_processor": None})
    case("llama-eos-false", "e5-mistral", {**hub, "add_eos_token": False}, reference=4, tokenizer=template(BOS, "A", EOS))
    case("llama-other-eos", "e5-mistral", {**hub, "eos_token": "<unk>"}, **old)
    objects = {**hub, "bos_token": {**ADDED, "content": "<s>"}, "eos_token": {**ADDED, "content": "</s>"}}
    case("llama-token-objects", "e5-mistral", objects, **old)
    bare = {k: v for k, v in hub.items() if k not in ("bos_token", "eos_token")}
    case("llama-tokens-of-map", "e5-mistral", bare, files={"special_tokens_map.json": {"bos_token": "<s>", "eos_token": {**ADDED, "content": "<unk>"}}}, **old)
    case("llama-map-wins", "e5-mistral", hub, files={"special_tokens_map.json": {"eos_token": "<unk>"}}, **old)
    decoder = {str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} for i, t in enumerate(["<unk>", "<s>", "</s>"])}
    case("llama-map-of-the-past", "e5-mistral", {**hub, "added_tokens_decoder": decoder}, files={"special_tokens_map.json": {"eos_token": "<unk>"}}, **old)
    case("llama-tokens-unnamed", "e5-mistral", {"tokenizer_class": "LlamaTokenizer", "add_eos_token": True}, **old)
    case("llama-silent", "e5-mistral", {"tokenizer_class": "LlamaTokenizer", **LLAMA}, tokenizer=template(BOS, "A", EOS))
    case("fast-ignores", "e5-mistral", {**hub, "tokenizer_class": "PreTrainedTokenizerFast"}, tokenizer=template(BOS, "A"), note="add_eos_token has no effect")
    case("backend-ignores", "e5-mistral", {**hub, "tokenizer_class": "TokenizersBackend"}, tokenizer=template(BOS, "A"), note="add_eos_token has no effect")
    case("gemma", "gemma2-lasttoken", {**hub, "tokenizer_class": "GemmaTokenizer"}, **old)
    case("gemma-of-type", "gemma2-lasttoken", {"add_bos_token": True, "add_eos_token": False, **LLAMA}, reference=4, tokenizer=template(BOS, "A", EOS))
    qwen = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "bos_token": None}
    case("qwen3-embedding", "qwen3-embedding", {**qwen, "add_bos_token": False}, tokenizer=template("A", END))
    case("qwen-ignores", "qwen2-last", {**qwen, "add_eos_token": True}, tokenizer=template("A"), note="add_eos_token has no effect")
    case("refused-eos", "e5-mistral", {**hub, "eos_token": None}, refused="'add_eos_token': there is no eos_token")
    case("refused-flag", "e5-mistral", {**hub, "add_eos_token": "yes"}, refused="'add_eos_token' must be true, false or null")


def gte_qwen2():
    """tokenization_qwen.py is code of the repository: its formula, with transformers' own class as what surrounds it."""
    keys = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    names = ["tokenization_qwen.Qwen2Tokenizer", "tokenization_qwen.Qwen2TokenizerFast"]
    for name, auto_map, eos in (("gte-qwen2", {"AutoTokenizer": names}, True), ("gte-qwen2-list", names, True), ("gte-qwen2-without", {"AutoTokenizer": names}, False),
                                ("gte-qwen2-of-another", {"AutoTokenizer": [None, "Alibaba-NLP/gte-Qwen2-7B-instruct--tokenization_qwen.Qwen2TokenizerFast"]}, True)):
        case(name, "gte-qwen2", {**keys, "add_eos_token": eos, "auto_map": auto_map}, tokenizer=template("A"), frame=template("A", END) if eos else template("A"))
    case("code-unknown", "gte-qwen2", {**keys, "auto_map": {"AutoTokenizer": ["my_tokenizer.MyTokenizer", None]}}, note="my_tokenizer.MyTokenizer belongs to the repository and is not run")


def bert():
    named = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    for model in ("bert-mean", "bert-cls"):
        for name, keys in (("silent", {}), ("lower", {"do_lower_case": True}), ("cased", {"do_lower_case": False}), ("accents", {"strip_accents": False}),
                           ("cased-stripped", {"do_lower_case": False, "strip_accents": True}), ("chinese", {"tokenize_chinese_chars": False})):
            case(f"{model}-{name}", model, {**named, **keys})
    case("bert-no-config", "bert-cls")
    case("bert-class-of-config", "bert-cls", {**named, "do_lower_case": True}, config={"model_type": None, "tokenizer_class": "BertTokenizerFast"})
    case("bert-fast-as-it-is", "bert-cls", {**named, "do_lower_case": True, "tokenizer_class": "PreTrainedTokenizerFast"})
    case("distilbert", "distilbert", {**named, "do_lower_case": False})
    case("nomic-bert", "nomic-bert", {**named, "do_lower_case": False})
    for where, keys in (("own", {"tokenizer_class": "BertJapaneseTokenizer"}), ("config", {})):
        config = {} if keys else {"tokenizer_class": "BertJapaneseTokenizer"}
        case(f"japanese-{where}", "bert-mean", {**named, **keys}, config=config, refused="tokenizer class BertJapaneseTokenizer")


def roberta():
    named = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    for name, keys, pre in (("silent", {}, True), ("space", {"add_prefix_space": True}, False), ("none", {"add_prefix_space": False}, True), ("class", {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizerFast"}, False),
                            ("as-it-is", {"add_prefix_space": True, "tokenizer_class": "PreTrainedTokenizerFast"}, False)):
        case(f"roberta-{name}", "roberta-mean", {**named, **keys}, tokenizer={"pre_tokenizer": {**level, "add_prefix_space": pre}})


def added():
    def token(content, special=True, **more):
        return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": not special, "special": special, **more}

    last = len(json.loads((HERE / "models/bert-mean/tokenizer.json").read_text())["model"]["vocab"])
    named = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]", "tokenizer_class": "BertTokenizer"}
    pad = {"0": token("[PAD]")}
    for name, keys, files in (
        ("decoder", {"added_tokens_decoder": {str(last): token("<ent>")}}, {}),
        ("decoder-normalized", {"added_tokens_decoder": {str(last): token("<Ent>", False)}}, {}),
        ("decoder-order", {"added_tokens_decoder": {str(last + 1): token("<b>"), str(last): token("<ent>")}}, {}),
        ("decoder-gap", {"added_tokens_decoder": {str(last + 7): token("<ent>")}}, {}),
        ("decoder-word", {"added_tokens_decoder": {str(last): token("<ent>", single_word=True)}}, {}),
        ("json", {}, {"added_tokens.json": {"<ent>": last}}),
        ("json-special", {"additional_special_tokens": ["<ent>"]}, {"added_tokens.json": {"<ent>": last, "<b>": last + 1}}),
        ("json-of-the-past", {"added_tokens_decoder": pad}, {"added_tokens.json": {"<ent>": last}}),
        ("map", {}, {"special_tokens_map.json": {"additional_special_tokens": ["<ent>", "<b>"]}}),
        ("map-of-the-past", {"added_tokens_decoder": pad}, {"special_tokens_map.json": {"additional_special_tokens": ["<ent>"]}}),
        ("map-role", {}, {"special_tokens_map.json": {"bos_token": {k: v for k, v in token("<ent>").items() if k != "special"}}}),
        ("additional", {"additional_special_tokens": ["<ent>", {**ADDED, "content": "<b>"}]}, {}),
        ("extra-empty", {"extra_special_tokens": {}, "additional_special_tokens": ["<ent>"]}, {}),
        ("extra", {"extra_special_tokens": ["<ent>", "<b>"]}, {}),
        ("extra-named", {"extra_special_tokens": {"entity_token": "<ent>"}}, {}),
        ("roles", {"bos_token": "<ent>", "eos_token": "<b>"}, {}),
        ("own-role", {"entity_token": "<ent>"}, {}),
    ):
        case(f"added-{name}", "bert-mean", {**named, **keys}, files=files)
    silent = {"tokenizer_class": "BertTokenizer"}
    case("added-by-the-class", "bert-mean", silent, tokenizer={"added_tokens": []})
    case("added-by-no-class", "bert-mean", {"tokenizer_class": "PreTrainedTokenizerFast"}, tokenizer={"added_tokens": []})
    case("added-refused", "bert-mean", {**named, "added_tokens_decoder": {"x": token("<ent>")}}, refused="'x' is not a token id")
    case("added-refused-role", "bert-mean", {**named, "mask_token": 5}, refused="'mask_token': expected a token, found 5")


def ids_of(case):
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        lay_out(case, directory)
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
        if "frame" in case:
            from tokenizers import Tokenizer
            content = json.loads((directory / "tokenizer.json").read_text())
            tokenizer = Tokenizer.from_str(json.dumps({**content, **case["frame"]}))
            return [tokenizer.encode(*given).ids if isinstance(given, list) else tokenizer.encode(given).ids for given in INPUTS]
        return [tokenizer(*given)["input_ids"] if isinstance(given, list) else tokenizer(given)["input_ids"] for given in INPUTS]


for group in (frames, gte_qwen2, bert, roberta, added):
    group()
known = {c["name"]: c for c in json.loads(OUT.read_text())["cases"]} if OUT.exists() else {}
version = int(transformers.__version__.split(".")[0])
for one in CASES:
    if "refused" in one:
        continue
    one["ids"] = ids_of(one) if one["reference"] == version else known.get(one["name"], {}).get("ids")
    one.pop("frame", None)
    if one["ids"] is None:
        print(f"{one['name']}: waits for a run with transformers {one['reference']}")
lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in CASES)
OUT.write_text(f'{{"inputs": {json.dumps(INPUTS, ensure_ascii=False)},\n "cases": [\n{lines}\n]}}\n')
