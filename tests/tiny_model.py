"""A real but tiny sentence embedder, built on the spot: random BERT and a word-level vocabulary.

Texts that share words get similar embeddings, texts that do not get different ones: the word vectors of the random
model are made large beside its position vectors. Takes about a tenth of a second and no network.
"""

import json
import re
from collections import Counter
from pathlib import Path

WORDS = 2000
MAX_LENGTH = 64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build_tiny_embedder(folder: Path, d: int = 32, *, pooling: str = "mean", normalise: bool = True) -> Path:
    """Write a sentence-transformers folder that reads at most 64 tokens and gives `d` numbers per text.

    As in all-MiniLM-L6-v2, its tokenizer.json says something else than its sentence_bert_config.json: cut at 16, pad
    to 16. `pooling` is ``mean``, ``cls`` or ``max``; without `normalise` the folder has no Normalize module.
    """
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=d,
        num_hidden_layers=2,
        num_attention_heads=max(1, d // 8),
        intermediate_size=2 * d,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = BertModel(config)
        model.embeddings.word_embeddings.weight.mul_(8)
    model.save_pretrained(folder)
    _write_tokenizer(folder, vocabulary)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalise else [])]
    _write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_LENGTH, "do_lower_case": False})
    for path, _ in modules[1:]:
        (folder / path).mkdir(exist_ok=True)
    _write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": d,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": pooling == "max",
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\nA random model for tests.\n", encoding="utf-8")
    return folder


def _vocabulary() -> dict[str, int]:
    """Special tokens, every letter alone and inside a word, and the commonest words of Python's documentation."""
    from pydoc_data.topics import topics

    counts = Counter(re.findall(r"[a-z]{2,}", " ".join(topics.values()).lower()))
    words = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [f"##{c}" for c in characters if c.isalnum()]
    return {token: i for i, token in enumerate([*SPECIAL, *characters, *pieces, *words])}


def _write_tokenizer(folder: Path, vocabulary: dict[str, int]) -> None:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordPiece
    from tokenizers.processors import BertProcessing

    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    _write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128, **names},
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
