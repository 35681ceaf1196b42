"""An index as a Parquet file for embedding-atlas: texts, metadata, a map, and the features of every document."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import FloatArray, IntArray
from ..errors import ConfigError, DataError, StorageError
from ..extras import require
from ..files import absolute, make_temporary
from .bundle.bundle import Bundle
from .index import SteerableIndex

FEATURES_PER_DOCUMENT = 10
"""The strongest of a text's some 32 to 64: a document is read by these, and lists of all make every feature common."""
BLOCK = 1024
"""Documents that are encoded and written together."""
OWN = ("id", "text", "x", "y", "features", "embedding")
"""Columns beside those of the metadata."""


def export_atlas(index: SteerableIndex, out: str | Path, *, embeddings: bool = True) -> int:
    """Write the documents of an index to a Parquet file, and return how many there are.

    Columns: ``id``, ``text``, ``x`` and ``y`` (the two directions in which the vectors differ most), ``features`` (a
    list of texts: the labels of the strongest features that are not hidden, `f412` for one without a label), one per
    field of the metadata, and ``embedding``. A field that is called like another column is ``metadata.NAME``; one whose
    values have several types is written as JSON.

    Args:
        index: Opened, with a bundle.
        out: The file, .parquet; it is replaced when it is there.
        embeddings: Write the vectors, some 1.5 kB a document at 384 dimensions.

    Raises:
        MissingExtraError: The extra ``parquet`` is not installed.
        ConfigError: The name does not end in .parquet, or the index has no bundle.
        DataError: The index is empty.
        StorageError: The file cannot be written.
    """
    require("parquet", "pyarrow")
    import pyarrow.parquet as pq

    path = absolute(out)
    if path.suffix != ".parquet":
        raise ConfigError(f"{path} ends in {path.suffix!r}: the atlas is written as .parquet")
    names, ids, vectors = _names(index.bundle), *index.documents()[::2]
    if not ids:
        raise DataError(f"{index.path} has no documents: add some with `sae index`")
    metadata = [record.metadata if record else {} for record in index.get(ids)]
    columns, places = _columns(metadata), _project(vectors)
    unfinished: Path | None = None
    try:
        unfinished = make_temporary(path)
        with pq.ParquetWriter(unfinished, _schema(columns, embeddings)) as file:
            for start in range(0, len(ids), BLOCK):
                block = slice(start, start + BLOCK)
                records = index.get(ids[block])
                rows = {
                    "id": ids[block],
                    "text": [record.text if record else "" for record in records],
                    "x": places[block, 0],
                    "y": places[block, 1],
                    "features": list(_features(names, *index.bundle.encode(vectors[block]))),
                    **{
                        column: [_cell(own.get(field), kind) for own in metadata[block]]
                        for column, (field, kind) in columns.items()
                    },
                }
                if embeddings:
                    rows["embedding"] = list(vectors[block])
                file.write_table(_table(rows, file.schema))
        os.replace(unfinished, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    return len(ids)


def _names(bundle: Bundle) -> list[str | None]:
    """Return what each feature is called; None for a hidden one."""
    return [None if feature.hidden else feature.label or feature.name for feature in bundle.features]


def _features(names: Sequence[str | None], indices: IntArray, values: FloatArray) -> Iterator[list[str]]:
    """Yield for each document the names of its strongest features, strongest first, each once."""
    for latents, active in zip(indices.tolist(), values.tolist(), strict=True):
        found = [names[latent] for latent, value in zip(latents, active, strict=True) if value > 0]
        yield list(dict.fromkeys(name for name in found if name is not None))[:FEATURES_PER_DOCUMENT]


def _project(vectors: FloatArray) -> FloatArray:
    """Return the two coordinates in which the vectors differ most, shape (n, 2); the largest of each is positive."""
    centred = vectors.astype(np.float64) - vectors.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    places = centred @ directions[:, :-3:-1]  # (n, 2)
    signs = np.sign(places[np.abs(places).argmax(0), [0, 1]])
    found: FloatArray = (places * np.where(signs == 0, 1, signs)).astype(np.float32)
    return found


def _columns(metadata: Sequence[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return for each field of the metadata its column -> (field, kind of its values), in the order they occur."""
    kinds: dict[str, set[str]] = {}
    for own in metadata:
        for field, value in own.items():
            kinds.setdefault(field, set()).add(_kind(value))
    made = {}
    for field, found in kinds.items():
        found.discard("")
        if found == {"int", "float"}:
            found = {"float"}
        kind = found.pop() if len(found) == 1 else "json" if found else "str"
        made[f"metadata.{field}" if field in OWN else field] = (field, kind)
    return made


def _kind(value: Any) -> str:
    """Return the kind of a value of metadata: one of those that a column can have; empty for None."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "json"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "list"
    name = type(value).__name__
    return name if name in ("bool", "int", "float", "str") else "json"


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False) if kind == "json" else value


def _schema(columns: dict[str, tuple[str, str]], embeddings: bool) -> Any:
    import pyarrow as pa

    types = {
        **{"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()},
        **{"str": pa.string(), "json": pa.string(), "list": pa.list_(pa.string())},
    }
    own = {"id": pa.string(), "text": pa.string(), "x": pa.float32(), "y": pa.float32()}
    own["features"] = pa.list_(pa.string())
    own |= {column: types[kind] for column, (_, kind) in columns.items()}
    return pa.schema(own | ({"embedding": pa.list_(pa.float32())} if embeddings else {}))


def _table(rows: dict[str, Any], schema: Any) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in rows.items()}, schema)
