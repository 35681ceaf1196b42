"""A sentence-transformers model, opened so that nothing in its folder runs as code.

sentence-transformers imports every class that ``modules.json`` and the files of its modules name, from Python files in
the folder too, and does not ask. So the files are read first, and only what is on the lists below is opened. Weights
are safetensors, or pickles that torch reads with ``weights_only``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..text import first_line, shown
from ..tokenizer_bounds import check_tokenizer
from .sentence_weights import check_tokens, check_weights, check_widths

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CODE_CURE = "steersearch runs no code of an embedder's folder; choose another embedder"
VECTORS_CURE = "embed the documents with it yourself and train on the vectors: sae train --vectors"
MODULES = (
    *("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout"),
    *("WeightedLayerPooling", "StaticEmbedding"),
)
"""Modules that are opened: classes of sentence-transformers that are made of numbers and a tokenizer. Their import
paths differ between its versions."""
MOST_LAYERS = 10_000
"""Layers of a model; the largest have some hundred."""
_CLASS = re.compile(rf"sentence_transformers(\.[a-z_A-Z]+)*\.({'|'.join(MODULES)})")
_OTHER_CLASS = re.compile(
    r"sentence_transformers(\.[a-z_A-Z]+)*\.(Router|Asym|CLIPModel|BoW|CNN|LSTM|WordEmbeddings|WordWeights|SpladePooling|"
    r"MLMTransformer|SparseStaticEmbedding|SparseAutoEncoder)"
)
"""Modules of sentence-transformers that are no code of the folder, but are not opened either."""
_ACTIVATION = re.compile(
    r"torch\.nn\.(modules\.(activation|linear)\.)?"
    r"(Identity|Tanh|ReLU|ReLU6|LeakyReLU|GELU|SiLU|ELU|SELU|CELU|Mish|Sigmoid|LogSigmoid|Softplus|Softsign|Hardtanh)"
)
_ARGUMENTS = ("model_args", "tokenizer_args", "config_args", "model_kwargs", "processor_kwargs", "config_kwargs")
_SETTINGS: Mapping[str, Callable[[Any], bool]] = {
    "max_seq_length": lambda value: value is None or type(value) is int,
    "do_lower_case": lambda value: type(value) is bool,
    # Written from sentence-transformers 5.4 on.
    "transformer_task": lambda value: value == "feature-extraction",
    "module_output_name": lambda value: isinstance(value, str),
    "modality_config": lambda value: _only_calls_forward(value),
    "unpad_inputs": lambda value: value is None or type(value) is bool,
}
"""Settings of a Transformer module, with the check of each value."""
_PLAIN_ARGUMENTS = frozenset(
    {"torch_dtype", "dtype", "attn_implementation", "add_pooling_layer", "use_fast", "do_lower_case"}
    | {"model_max_length", "padding_side", "truncation_side", "padding", "use_memory_efficient_attention"}
)
"""Arguments that a folder may hand to transformers. Others decide how weights are read or name code, such as
`weights_only` and `trust_remote_code`."""


def open_model(folder: str | Path, *, device: str | None, **model_kwargs: Any) -> SentenceTransformer:
    """Open a model in a folder on this machine. Every embedder in torch is opened here.

    Args:
        folder: Of a sentence-transformers model.
        device: A torch device name; None lets sentence-transformers choose.
        model_kwargs: Arguments of ``transformers.AutoModel.from_pretrained``.

    Returns:
        The model in fp32, however its weights are stored. It pads on the right, as the runtime does: a text's vector
        would depend on its batch otherwise where positions are counted from the first token.

    Raises:
        DataError: The files cannot be loaded, or name code or a kind of module that is not on the list. Weights are
            missing, the tokenizer has tokens that the model has no vector for, or widths of modules differ.
    """
    check_folder(Path(folder))
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=model_kwargs or None,
        )
        for place, module in zip(read_json(Path(folder) / "modules.json"), model, strict=False):
            check_weights(Path(folder) / place["path"], module)
            check_tokens(Path(folder) / place["path"], module)
        check_widths(Path(folder), model)
        _pad_right(model)
        return model.float()
    except DataError:
        raise
    # transformers, tokenizers, safetensors and torch each raise their own. A fault in Rust is below BaseException only.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = first_line(str(error), type(error).__name__)
        if "trust_remote_code" in str(error):
            reason = f"it is made of code in its folder, and {CODE_CURE}"
        raise DataError(f"{folder} cannot be loaded as a sentence-transformers model: {reason}") from error


def _pad_right(model: SentenceTransformer) -> None:
    """Let a tokenizer pad on the right, with a token of its own where it has none for padding, as many decoders."""
    tokenizer = model.tokenizer
    if not hasattr(tokenizer, "padding_side"):
        return
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        # Which one does not matter: attention leaves it out.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)


def check_folder(folder: Path) -> None:
    """Check that a model's folder names no code and only modules that are on the list.

    Raises:
        DataError: It does, or a file of it cannot be read.
    """
    for path in folder.rglob("*"):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise DataError(f"{path} is a device or a pipe, which would be read for ever: copy the model again")
    for path in folder.rglob("tokenizer.json"):
        try:
            check_tokenizer(read_json(path))
        except (ValueError, AttributeError) as error:
            raise DataError(f"{path} cannot be used ({error}): choose another embedder") from error
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list) or not modules:
        raise DataError(f"{folder / 'modules.json'} is not a list of modules: copy the model again")
    names = [str(module["name"]) for module in modules if isinstance(module, dict) and "name" in module]
    # A later module of the same name would take the place of the first.
    if len(set(names)) < len(names):
        raise DataError(f"{folder / 'modules.json'} gives two modules the same name: copy the model again")
    # The main folder too: for some models sentence-transformers ignores modules.json and reads a Transformer there.
    _check_transformer(folder)
    for module in modules:
        kind, place = (module.get(name) if isinstance(module, dict) else None for name in ("type", "path"))
        known = _known_class(folder, kind)
        if not isinstance(place, str) or not _is_inside(place):
            raise DataError(f"{folder / 'modules.json'} has a module at {str(place)[:80]!r}: it must be in the folder")
        if known == "Transformer":
            _check_transformer(folder / place)
        elif known == "Dense":
            _check_dense(folder / place / "config.json")


def _known_class(folder: Path, kind: Any) -> str:
    """Return the name of the class of a module, one of `MODULES`; a DataError for any other."""
    path = folder / "modules.json"
    if isinstance(kind, str) and (known := _CLASS.fullmatch(kind)):
        return known[2]
    if isinstance(kind, str) and _OTHER_CLASS.fullmatch(kind):
        raise DataError(
            f"{path} names the module {kind.rpartition('.')[2]}, of which no bundle can be made; {', '.join(MODULES)} "
            f"are possible: choose another embedder, or {VECTORS_CURE}"
        )
    raise DataError(
        f"{path} names the module {str(kind)[:80]!r}; known are {', '.join(MODULES)} of sentence_transformers: "
        f"{CODE_CURE}"
    )


def read_json(path: Path) -> Any:
    """Read a JSON file of a model; None when it is not there.

    Raises:
        DataError: It cannot be read, or is a device or a pipe.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file: copy the model again")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}): copy the model again") from error


def _check_transformer(folder: Path) -> None:
    """Check the settings, the config and the lack of an adapter in the folder of a Transformer module."""
    # An adapter names another model, which is loaded from wherever it says, and a library of its own.
    if (folder / "adapter_config.json").exists():
        raise DataError(f"{folder} holds an adapter: merge it into its model (merge_and_unload) and save that")
    # One file per architecture; the first that is there and not empty counts.
    for path in sorted(folder.glob("sentence_*_config.json")):
        _check_settings(path)
    for name, value in _named(read_json(folder / "config.json")):
        # transformers takes "owner/name" as code on the Hugging Face hub, and runs it.
        if name.endswith("attn_implementation") and "/" in json.dumps(value):
            raise DataError(f"{folder / 'config.json'} has {name} {value!r}, which names code: {CODE_CURE}")
        # transformers imports the library that it names, whatever is installed.
        if name in ("quantization_config", "compression_config") and value is not None:
            raise DataError(f"{folder / 'config.json'} has {name} {shown(value)}: save the model without quantisation")
        # The checksum of the weights is that of the files in the folder.
        if name == "transformers_weights" and value is not None:
            raise DataError(f"{folder / 'config.json'} has {name} {str(value)[:80]!r}: call them model.safetensors")
        # Each is made before the weights are read, without an end.
        if "layer" in name and type(value) is int and value > MOST_LAYERS:
            raise DataError(f"{folder / 'config.json'} has {name} {value:,}: at most {MOST_LAYERS:,} are loaded")
    for path in sorted(folder.glob("*.index.json")):
        index = read_json(path)
        parts = index.get("weight_map") if isinstance(index, dict) else None
        for part in parts.values() if isinstance(parts, dict) else [parts]:
            if not isinstance(part, str) or not part or PurePosixPath(part.replace("\\", "/")).name != part:
                raise DataError(f"{path} names the weights {str(part)[:80]!r}: they must be files beside it")


def _check_settings(path: Path) -> None:
    settings = read_json(path) or {}
    if not isinstance(settings, dict):
        raise DataError(f"{path} is not an object: copy the model again")
    for name, value in settings.items():
        if name in _ARGUMENTS:
            for argument, given in (value if isinstance(value, dict) else {"": value} if value else {}).items():
                plain = isinstance(given, str | int | float | bool | None) and "/" not in str(given)
                if argument not in _PLAIN_ARGUMENTS or not plain:
                    raise DataError(f"{path} sets {name} {argument!r} to {str(given)[:80]!r}: {CODE_CURE}")
        elif name not in _SETTINGS or not _SETTINGS[name](value):
            raise DataError(f"{path} sets {name!r} to {str(value)[:80]!r}, which is not known: {CODE_CURE}")


def _check_dense(path: Path) -> None:
    """Check the activation of a Dense module: sentence-transformers imports it by its name and calls it."""
    config = read_json(path)
    activation = config.get("activation_function") if isinstance(config, dict) else None
    if not isinstance(activation, str) or not _ACTIVATION.fullmatch(activation):
        raise DataError(f"{path} names the activation {str(activation)[:80]!r}, not one of torch.nn: {CODE_CURE}")


def _only_calls_forward(modalities: Any) -> bool:
    """Return whether no modality names another method of the model than `forward`."""
    methods = [value for name, value in _named(modalities) if name == "method"]
    return isinstance(modalities, dict) and all(method == "forward" for method in methods)


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of nested objects with its value."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each.items()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _is_inside(place: str) -> bool:
    parts = PurePosixPath(place.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and ":" not in place
