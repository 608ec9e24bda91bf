#!/usr/bin/env python3
"""Golden checkpoints of CLIP, the images that go with them, and what Pillow makes of these: tiny random weights, and what the reference answers.

usage: make_clip.py        needs torch, torchvision, transformers >= 5.23, sentence-transformers >= 6, tokenizers, pillow and safetensors

Writes images/ (the files, and images.json with checksums of their pixels) and models/clip*. Float32 on a CPU, every input alone.
"""
import binascii
import json
import pathlib
import shutil

import numpy as np
import tokenizers
import torch
import transformers as T
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.image_transforms import convert_to_rgb
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

HERE = pathlib.Path(__file__).resolve().parent
IMAGES = HERE / "images"
TEXTS = ["", " ", "a photo of a cat", "A photo of TWO dogs,  in the snow!", "it's 3.14 o'clock; we'll see", "Ünïcödé naïve café — “quotes”", "中文和日本語",
         "an end<|endoftext|> in the middle <|startoftext|> of it", "the quick brown fox jumps over the lazy dog " * 12]


def picture(width, height, seed):
    """Smooth colours with edges and noise, so that every filter has something to do."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [128 + 90 * np.sin(x / (3 + c) + seed) * np.cos(y / (5 - c)) + 60 * ((x.astype(int) // 7 + y.astype(int) // 5) % 2) for c in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, -1) + random.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8))


def write_images():
    shutil.rmtree(IMAGES, ignore_errors=True)
    IMAGES.mkdir()
    rgb = picture(61, 47, 1)
    rgb.save(IMAGES / "rgb.png")
    alpha = np.array(picture(37, 80, 2).convert("RGBA"))
    alpha[..., 3] = np.arange(37)[None, :] * 6
    Image.fromarray(alpha).save(IMAGES / "rgba.png")
    picture(45, 45, 3).convert("L").save(IMAGES / "grey.png")
    grey_alpha = Image.fromarray(alpha).convert("LA")
    grey_alpha.save(IMAGES / "grey-alpha.png")
    palette = picture(53, 31, 4).quantize(17)
    palette.save(IMAGES / "palette.png", transparency=3)
    picture(50, 40, 5).quantize(4).save(IMAGES / "palette-2bit.png", bits=2)
    picture(41, 29, 6).convert("1").save(IMAGES / "one-bit.png")
    wide = (np.arange(40 * 33, dtype=np.uint32).reshape(33, 40) * 49 % 700).astype(np.uint16)
    Image.fromarray(wide).save(IMAGES / "grey-16bit.png")
    write_png(IMAGES / "rgb-16bit.png", 16, np.array(picture(35, 34, 7)).astype(np.uint16) * 257 + 100)
    write_png(IMAGES / "interlaced.png", 8, np.array(picture(43, 67, 8)).astype(np.uint16), interlaced=True)
    picture(30, 30, 9).save(IMAGES / "same-size.png")
    picture(13, 19, 10).save(IMAGES / "small.png")
    picture(300, 9, 11).save(IMAGES / "narrow.png")
    picture(333, 251, 12).save(IMAGES / "large.jpg", quality=85)  # 4:2:0
    picture(64, 49, 13).save(IMAGES / "444.jpg", quality=95, subsampling=0)
    picture(65, 51, 14).save(IMAGES / "422.jpg", quality=90, subsampling=1)
    picture(71, 55, 15).convert("L").save(IMAGES / "grey.jpg")
    picture(97, 59, 16).save(IMAGES / "progressive.jpg", progressive=True, quality=80)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(80, 40, 17).save(IMAGES / "orientation.jpg", exif=exif)  # Image.open does not turn it
    picture(48, 52, 18).convert("CMYK").save(IMAGES / "cmyk.jpg")


def write_png(path, depth, pixels, interlaced=False):
    """What Pillow cannot write: 16 bits of each colour, and Adam7."""
    import struct
    import zlib

    height, width = pixels.shape[:2]
    dtype = ">u2" if depth == 16 else "u1"
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    data = b""
    for top, left, down, across in passes:
        for row in pixels[top::down, left::across]:
            if len(row):
                data += b"\0" + row.astype(dtype).tobytes()
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", binascii.crc32(kind + body))
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, int(interlaced))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def crc(array):
    return binascii.crc32(np.ascontiguousarray(array, dtype=np.uint8).tobytes())


def describe_images():
    """Checksums of the pixels: as decoded, and prepared in several ways by either backend."""
    forms = {"30": dict(size={"shortest_edge": 30}, crop_size=30), "crop40of24": dict(size={"shortest_edge": 24}, crop_size=41),
             "square": dict(size={"height": 28, "width": 31}, do_center_crop=False), "bilinear": dict(size={"shortest_edge": 33}, crop_size=32, resample=2)}
    out = {}
    for path in sorted(IMAGES.iterdir()):
        image = Image.fromarray(convert_to_rgb(Image.open(path), return_numpy=True))
        entry = {"width": image.width, "height": image.height, "crc": crc(np.array(image))}
        for name, form in forms.items():
            for backend, kind in (("pillow", CLIPImageProcessorPil), ("torchvision", T.CLIPImageProcessor)):
                processor = kind(**form, do_rescale=False, do_normalize=False)
                pixels = np.asarray(processor(image, return_tensors="np")["pixel_values"][0])
                entry[f"{name} {backend}"] = crc(pixels.transpose(1, 2, 0))
        out[path.name] = entry
    (IMAGES / "images.json").write_text(json.dumps(out, indent=1))


def tokenizer(directory):
    tok = tokenizers.Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    tok.train_from_iterator(TEXTS * 3 + ["cats and dogs are photographed in snow and sun"] * 3, trainer)
    # Like OpenAI's vocabulary: every byte also as a word's end, and the special tokens last.
    written = json.loads(tok.to_str())
    vocabulary = written["model"]["vocab"]
    for word in [letter + "</w>" for letter in alphabet] + ["<|startoftext|>", "<|endoftext|>"]:
        vocabulary.setdefault(word, len(vocabulary))
    tok = tokenizers.Tokenizer.from_str(json.dumps(written))
    tok.add_special_tokens([tokenizers.AddedToken("<|startoftext|>", special=True, normalized=True), tokenizers.AddedToken("<|endoftext|>", special=True)])
    start, end = tok.token_to_id("<|startoftext|>"), tok.token_to_id("<|endoftext|>")
    tok.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start), add_prefix_space=False, trim_offsets=False)
    tok.decoder = decoders.ByteLevel()
    tok.save(str(directory / "tokenizer.json"))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
              "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    tok.enable_truncation(77)
    return tok, start, end


def shake(model):
    """The default weights are too tame to catch a swapped norm or a missing bias."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 0:
                parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.dim() == 1 else 0.08))
    return model.eval().float()


def checkpoint(name, folder, legacy, kind, write_files, normalize=False):
    directory = HERE / "models" / name
    shutil.rmtree(directory, ignore_errors=True)
    home = directory / folder
    home.mkdir(parents=True)
    tok, start, end = tokenizer(home)
    tower = dict(hidden_size=32, intermediate_size=56, num_attention_heads=2)
    text = dict(tower, num_hidden_layers=2, vocab_size=tok.get_vocab_size(), bos_token_id=start, eos_token_id=2 if legacy else end, pad_token_id=end)
    vision = dict(tower, hidden_size=48, num_attention_heads=4, num_hidden_layers=3, image_size=30, patch_size=10)
    config = T.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    config._attn_implementation = "eager"
    model = shake(T.CLIPModel(config))
    model.save_pretrained(home)
    processor = write_files(home)
    inputs, ids, arrays = [], [], {}
    with torch.no_grad():
        for item in TEXTS + [{"image": path.name} for path in sorted(IMAGES.iterdir()) if path.suffix != ".json"]:
            if isinstance(item, str):
                row = tok.encode(item).ids
                vector = model.get_text_features(input_ids=torch.tensor([row])).pooler_output[0]
            else:
                row = [0] * 10
                image = Image.open(IMAGES / item["image"])
                vector = model.get_image_features(pixel_values=processor(image, return_tensors="pt")["pixel_values"]).pooler_output[0]
            arrays[f"embedding.{len(inputs)}"] = (vector / vector.norm() if normalize else vector).clone().contiguous()
            inputs.append(item)
            ids.append(row)
    save_file(arrays, directory / "golden.safetensors")
    reference = f"transformers {T.__version__}, torch {torch.__version__}, {type(processor).__name__}, pillow {Image.__version__}"
    golden = dict(inputs=inputs, ids=ids, max_length=77, outputs={"embedding": [24]}, tolerance=2e-5, reference=reference)
    (directory / "golden.json").write_text(json.dumps(golden, ensure_ascii=False))
    print(name, len(inputs), "inputs")
    if folder or normalize:
        check_sentence_transformers(directory, inputs, arrays)


def check_sentence_transformers(directory, inputs, arrays):
    """The layout is one that sentence-transformers reads, with the same answer (whichever backend it chooses for images)."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu")
    for i, item in enumerate(inputs):
        if isinstance(item, str) and item.strip():
            vector = model.encode(item, convert_to_tensor=True).cpu()
            assert (vector - arrays[f"embedding.{i}"]).abs().max() < 1e-4, (item, vector, arrays[f"embedding.{i}"])


def new_files(home):
    """As transformers 4's fast processor wrote them."""
    processor = T.CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    written = json.loads(processor.to_json_string())
    (home / "preprocessor_config.json").write_text(json.dumps({**written, "image_processor_type": "CLIPImageProcessorFast"}, indent=1))
    return processor


def old_files(home):
    """OpenAI's own: plain numbers, no rescaling mentioned; and a config that says things twice."""
    old = {"crop_size": 30, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
           "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 30}
    (home / "preprocessor_config.json").write_text(json.dumps(old, indent=1))
    (home.parent / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": home.name, "type": "sentence_transformers.models.CLIPModel"}], indent=1))
    config = json.loads((home / "config.json").read_text())
    config["text_config_dict"] = {**config["text_config"], "hidden_act": "quick_gelu"}
    config["text_config"] = {"hidden_size": 32, "hidden_act": "gelu"}
    (home / "config.json").write_text(json.dumps(config, indent=1))
    return CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})


def newest_files(home):
    """As sentence-transformers 6 writes them: its Transformer module for both kinds, processor_config.json."""
    processor = T.CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    tok = T.CLIPTokenizer.from_pretrained(home) if False else T.PreTrainedTokenizerFast.from_pretrained(home)
    T.CLIPProcessor(image_processor=processor, tokenizer=tok).save_pretrained(home)
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Transformer

    temporary = home.parent / "saving"
    SentenceTransformer(modules=[Transformer(str(home)), Normalize()], device="cpu").save(str(temporary))
    for path in temporary.rglob("*"):
        print("   saved", path.relative_to(temporary))
    for file in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "processor_config.json"):
        shutil.copy(temporary / file, home / file)
    (home / "preprocessor_config.json").unlink(missing_ok=True)
    shutil.rmtree(temporary)
    return processor


if __name__ == "__main__":
    write_images()
    describe_images()
    torch.manual_seed(300)
    checkpoint("clip", "", True, "fast", new_files)
    checkpoint("clip-0-module", "0_CLIPModel", False, "pillow", old_files)
    checkpoint("clip-transformer", "", False, "fast", newest_files, normalize=True)
