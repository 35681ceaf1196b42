"""Tiny sentence-transformers folders of the architectures that people use: random weights, tokenizers of their kind.

Every folder has the tokenizer class, the pooling, the modules and the prompts of a model that is in use, and 32 numbers
per token. It takes a quarter of a second and no network.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

D = 32
VOCABULARY = 400
MAX_LENGTH = 64
PROMPTS = {"query": "query: ", "document": "passage: "}
INSTRUCTION = {"query": "Instruct: Given a question, retrieve passages that answer it\nQuery: "}


@dataclass(frozen=True)
class Tiny:
    """What a folder is made of."""

    config: Callable[[int], Any]
    """Size of the vocabulary -> config of transformers."""
    tokenizer: str
    """``wordpiece``, ``bytes`` (byte-level BPE), ``unigram`` or ``pieces`` (BPE with byte fallback), and its class."""
    tokenizer_class: str
    special: tuple[str, ...]
    """Special tokens, by id from 0 on."""
    ends: tuple[str, str] = ("", "")
    """Special tokens before and after every text."""
    names: tuple[tuple[str, Any], ...] = ()
    """Entries of tokenizer_config.json, such as pad_token."""
    pooling: str = "mean"
    dense: tuple[tuple[int, int, str], ...] = ()
    """in_features, out_features and activation of Dense modules."""
    prompts: tuple[tuple[str, str], ...] = tuple(PROMPTS.items())
    normalise: bool = True
    encoder_only: str = ""
    """Name of the class in transformers, where it is not that of AutoModel."""


def _config(name: str, **values: Any) -> Callable[[int], Any]:
    def make(size: int) -> Any:
        import transformers

        common: dict[str, Any] = {"vocab_size": size, "hidden_size": D, "num_hidden_layers": 2}
        # Ten times the usual noise, so that words decide the vector of every token and not only their own.
        common |= {"num_attention_heads": 4, "intermediate_size": 2 * D, "initializer_range": 0.2}
        return getattr(transformers, name)(**common | values)

    return make


_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BERT_NAMES = (
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
)
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_ROBERTA_NAMES = (
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("cls_token", "<s>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("unk_token", "<unk>"),
    ("mask_token", "<mask>"),
)
_DECODER = {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512}

ARCHITECTURES: dict[str, Tiny] = {
    # BGE: the first token, an instruction before queries and nothing before documents.
    "bert": Tiny(
        _config("BertConfig", max_position_embeddings=MAX_LENGTH),
        *("wordpiece", "BertTokenizerFast", _BERT, ("[CLS]", "[SEP]"), _BERT_NAMES, "cls"),
        prompts=(("query", "Represent this sentence for searching relevant passages: "),),
    ),
    "distilbert": Tiny(
        _config("DistilBertConfig", dim=D, n_layers=2, n_heads=4, hidden_dim=2 * D, max_position_embeddings=MAX_LENGTH),
        *("wordpiece", "DistilBertTokenizerFast", _BERT, ("[CLS]", "[SEP]"), _BERT_NAMES),
        dense=((D, 16, "torch.nn.modules.activation.Tanh"),),
    ),
    "mpnet": Tiny(
        _config("MPNetConfig", max_position_embeddings=MAX_LENGTH + 2),
        *("wordpiece", "MPNetTokenizerFast", ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"), ("<s>", "</s>")),
        names=(*_ROBERTA_NAMES[:5], ("unk_token", "[UNK]"), ("mask_token", "<mask>")),
    ),
    "roberta": Tiny(
        _config("RobertaConfig", max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, pad_token_id=1),
        *("bytes", "RobertaTokenizerFast", _ROBERTA, ("<s>", "</s>"), _ROBERTA_NAMES),
        normalise=False,
    ),
    # E5.
    "xlm-roberta": Tiny(
        _config("XLMRobertaConfig", max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, pad_token_id=1),
        *("unigram", "XLMRobertaTokenizerFast", ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), ("<s>", "</s>")),
        names=_ROBERTA_NAMES,
        prompts=(("query", "query: "), ("passage", "passage: ")),
    ),
    "modernbert": Tiny(
        _config(
            "ModernBertConfig",
            **{"max_position_embeddings": 512, "local_attention": 16, "global_attn_every_n_layers": 2},
            **{"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
        ),
        *("bytes", "PreTrainedTokenizerFast", _BERT, ("[CLS]", "[SEP]")),
        names=(*_BERT_NAMES, ("model_input_names", ["input_ids", "attention_mask"])),
        prompts=(("query", "search_query: "), ("document", "search_document: ")),
    ),
    # GTR and Sentence-T5: the encoder alone, a Dense layer without activation.
    "t5": Tiny(
        _config("T5Config", d_model=D, d_kv=8, d_ff=2 * D, num_layers=2, num_heads=4, relative_attention_num_buckets=8),
        *("unigram", "T5TokenizerFast", ("<pad>", "</s>", "<unk>"), ("", "</s>")),
        names=(("pad_token", "<pad>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("extra_ids", 0)),
        dense=((D, D, "torch.nn.modules.linear.Identity"),),
        encoder_only="T5EncoderModel",
    ),
    # Qwen3-Embedding: the last token, padding on the left.
    "qwen3": Tiny(
        _config("Qwen3Config", **_DECODER),
        *("bytes", "Qwen2TokenizerFast", ("<|endoftext|>", "<|im_end|>"), ("", "<|endoftext|>")),
        names=(("pad_token", "<|endoftext|>"), ("eos_token", "<|im_end|>"), ("padding_side", "left")),
        pooling="lasttoken",
        prompts=tuple(INSTRUCTION.items()),
    ),
    # EmbeddingGemma: attention in both directions, two Dense layers.
    "gemma3": Tiny(
        _config(
            "Gemma3TextConfig",
            **_DECODER | {"use_bidirectional_attention": True, "sliding_window": 16, "query_pre_attn_scalar": 8},
            layer_types=["sliding_attention", "full_attention"],
        ),
        *("pieces", "GemmaTokenizerFast", ("<pad>", "<eos>", "<bos>", "<unk>"), ("<bos>", "<eos>")),
        names=(
            *(("pad_token", "<pad>"), ("eos_token", "<eos>"), ("bos_token", "<bos>"), ("unk_token", "<unk>")),
            ("padding_side", "right"),
        ),
        dense=((D, 2 * D, "torch.nn.modules.linear.Identity"), (2 * D, D, "torch.nn.modules.linear.Identity")),
        prompts=(("query", "task: search result | query: "), ("document", "title: none | text: ")),
    ),
    # E5-Mistral and MiniCPM-Embedding: a decoder, the last token, and no token for padding.
    "llama": Tiny(
        _config("LlamaConfig", **_DECODER),
        *("pieces", "LlamaTokenizerFast", ("<unk>", "<s>", "</s>"), ("<s>", "</s>")),
        names=(("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>"), ("padding_side", "left")),
        pooling="lasttoken",
        prompts=tuple(INSTRUCTION.items()),
    ),
}


def build_architecture(folder: Path, name: str, **changes: Any) -> Path:
    """Write the folder of an architecture; `changes` are fields of `Tiny`."""
    import torch
    import transformers

    tiny = Tiny(**{**vars(ARCHITECTURES[name]), **changes})
    folder.mkdir(parents=True)
    size = _write_tokenizer(folder, tiny)
    config = tiny.config(size)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        kind = getattr(transformers, tiny.encoder_only) if tiny.encoder_only else None
        model = kind(config) if kind else transformers.AutoModel.from_config(config)
        model.save_pretrained(folder)
        modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
        for i, (wide, narrow, activation) in enumerate(tiny.dense, 2):
            modules.append((f"{i}_Dense", "Dense"))
            values = {"in_features": wide, "out_features": narrow, "bias": True, "activation_function": activation}
            write_json(folder / f"{i}_Dense" / "config.json", values)
            weights = torch.nn.Linear(wide, narrow).state_dict()
            from safetensors.torch import save_file

            named = {f"linear.{key}": value for key, value in weights.items()}
            save_file(named, folder / f"{i}_Dense" / "model.safetensors")
    if tiny.normalise:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
    write_modules(folder, modules)
    write_pooling(folder, tiny.pooling)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_LENGTH, "do_lower_case": False})
    prompts = {"prompts": dict(tiny.prompts), "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", prompts)
    return folder


def write_modules(folder: Path, modules: list[tuple[str, str]]) -> None:
    """Write modules.json from pairs of a path and the name of a class."""
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    write_json(folder / "modules.json", entries)


def write_pooling(folder: Path, *modes: str, d: int = D, include_prompt: bool = True) -> None:
    """Write the config of a Pooling module; its modes are concatenated."""
    names = {
        "cls": "cls_token",
        "mean": "mean_tokens",
        "max": "max_tokens",
        "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "weightedmean": "weightedmean_tokens",
        "lasttoken": "lasttoken",
    }
    values: dict[str, Any] = {f"pooling_mode_{name}": mode in modes for mode, name in names.items()}
    values |= {"word_embedding_dimension": d, "include_prompt": include_prompt}
    write_json(folder / "1_Pooling" / "config.json", values)


def write_json(path: Path, value: object) -> None:
    """Write a file of a model, and the folder that it is in."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _write_tokenizer(folder: Path, tiny: Tiny) -> int:
    """Train a tokenizer on Python's documentation, write its files, and return the size of its vocabulary."""
    from pydoc_data.topics import topics

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = list(tiny.special)
    unknown = next((token for token in special if "unk" in token.lower()), None)
    match tiny.tokenizer:
        case "wordpiece":
            tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
            tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            trainer: Any = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special)
        case "bytes":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
        case "unigram":
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.normalizer = normalizers.NFKC()
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=special, unk_token=unknown)
        case _:
            tokenizer = Tokenizer(models.BPE(unk_token=unknown, fuse_unk=True, byte_fallback=True))
            tokenizer.normalizer = normalizers.Replace(" ", "▁")
            tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
            special += [f"<0x{byte:02X}>" for byte in range(256)]
            trainer = trainers.BpeTrainer(vocab_size=VOCABULARY + 256, special_tokens=special)
    tokenizer.train_from_iterator(list(topics.values())[:20], trainer)
    first, last = tiny.ends
    template = f"{first} $A {last}".strip()
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last) if token]
    tokenizer.post_processor = processors.TemplateProcessing(template, f"{template} $B:1", ids)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": tiny.tokenizer_class, "model_max_length": 512, **dict(tiny.names)}
    write_json(folder / "tokenizer_config.json", config | {"add_bos_token": bool(first), "add_eos_token": bool(last)})
    return int(tokenizer.get_vocab_size())
