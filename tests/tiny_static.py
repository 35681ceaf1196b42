"""Static embedders of a few tokens, whose vectors can be worked out by hand."""

import json
from pathlib import Path

import numpy as np

WORDS = ("[UNK]", "whale", "sea", "ship", "tax", "law", "court", "of", "the", "a", "city", "music", "piano")
WIDTH = 8


def word_tokenizer(words=WORDS, unknown="[UNK]"):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def word_table(n=13, width=WIDTH):
    return np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)


def build_static(folder: Path, table=None, tokenizer=None, *, name="embedding.weight", modules=(), **tensors) -> Path:
    """Write a sentence-transformers folder with a StaticEmbedding; `modules` are (kind, config, tensors) after it."""
    from safetensors.numpy import save_file

    place = folder / "0_StaticEmbedding"
    place.mkdir(parents=True)
    save_file({name: word_table() if table is None else table, **tensors}, place / "model.safetensors")
    (tokenizer or word_tokenizer()).save(str(place / "tokenizer.json"))
    kinds = [("0_StaticEmbedding", "StaticEmbedding"), *((f"{i}_{m[0]}", m[0]) for i, m in enumerate(modules, start=1))]
    for (path, _), (_, config, held) in zip(kinds[1:], modules, strict=True):
        (folder / path).mkdir()
        if config is not None:
            (folder / path / "config.json").write_text(json.dumps(config))
        if held:
            save_file(held, folder / path / "model.safetensors")
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def build_model2vec(folder: Path, table=None, tokenizer=None, config=None, **tensors) -> Path:
    """Write a folder as `StaticModel.save_pretrained` of model2vec does, without its card and modules.json."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    save_file({"embeddings": word_table() if table is None else table, **tensors}, folder / "model.safetensors")
    (tokenizer or word_tokenizer()).save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True} | (config or {})))
    return folder
