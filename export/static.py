"""A table of token vectors as files of a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray
from ..errors import ConfigError
from ..runtime.bundle.manifest import PARTS, RULE, TABLE, TOKENIZER
from ..runtime.bundle.static_embedder import FORMAT_VERSION
from ..static_table import StaticTable
from ..training.embedder_source import EmbedderSource
from ..training.embedders.static import open_static
from .embedder import Via
from .exportable import Report
from .quantize import Precision

PRECISIONS = ("fp32", "fp16", "w8")


class StaticExport:
    """A static embedder; see `ExportableEmbedder`."""

    kind, pooling = "static", "mean"

    def __init__(self, source: EmbedderSource) -> None:
        """Open the table; a DataError when its files cannot be used."""
        self._model = open_static(Path(source.path_or_name), source.max_length, source.truncate_dim)
        self.d_in = len(self._model.table.blank)

    def write(self, folder: Path, precision: Precision, via: Via, report: Report) -> None:
        """Write the table, its small arrays, its rule and tokenizer.json."""
        if precision not in PRECISIONS:
            raise ConfigError(
                f"precision is {precision}, but this embedder is a table of token vectors: choose "
                f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
            )
        table = self._model.table
        report(f"writing the table of {len(table.table):,} token vectors, {precision}")
        rows, scales = compressed(table.table, precision)
        np.save(folder / TABLE, np.ascontiguousarray(rows), allow_pickle=False)
        parts, rule = _parts(table, scales)
        with (folder / PARTS).open("wb") as file:
            np.savez(file, allow_pickle=False, **parts)
        (folder / RULE).write_text(json.dumps(rule, indent=1) + "\n", encoding="utf-8")
        content = json.loads(self._model.tokenizer.read_text(encoding="utf-8"))
        # What it adds is no part of the mean, and would count in the length of a chunk.
        content |= {"post_processor": None, "padding": None, "truncation": None}
        (folder / TOKENIZER).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def reference(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts with the table as it was."""
        return self._model.encode(texts)


def compressed(table: NDArray[Any], precision: Precision) -> tuple[NDArray[Any], FloatArray | None]:
    """Store a table in fewer bits.

    Returns:
        Rows, shape (n, width), and for w8 what each is multiplied with, shape (n,), else None. In fp32 the rows are in
        half precision, or in 8 bits, where that loses nothing.
    """
    if precision == "w8" and table.dtype != np.int8:
        wide = table.astype(np.float32)
        scales = np.abs(wide).max(axis=1) / np.float32(127)  # (n,)
        scales[scales == 0] = 1
        return np.round(wide / scales[:, None]).astype(np.int8), scales
    if precision == "fp16" and table.dtype == np.float32:
        # Half precision ends at 65,504; the length of a row that all share has no influence.
        largest = float(np.abs(table).max())
        return (table / max(largest, 1) if largest > _LARGEST_HALF else table).astype(np.float16), None
    if table.dtype == np.float32 and float(np.abs(table).max()) <= _LARGEST_HALF:
        half = table.astype(np.float16)
        if np.array_equal(half.astype(np.float32), table):
            return half, None
    return table, None


_LARGEST_HALF = float(np.finfo(np.float16).max)


def _parts(table: StaticTable, scales: FloatArray | None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of `PARTS` and the content of `RULE`."""
    parts: dict[str, NDArray[Any]] = {"blank": table.blank}
    factors = table.factors
    if scales is not None:
        of_tokens = scales if table.rows is None else scales[table.rows]
        factors = of_tokens if factors is None else of_tokens[: len(factors)] * factors[: len(of_tokens)]
    if table.rows is not None:
        parts["rows"] = table.rows.astype(np.int32)
    if factors is not None:
        parts["factors"] = factors.astype(np.float32)
    shapes = {}
    for i, layer in enumerate(table.layers):
        if layer.weight is not None:
            parts[f"weight_{i}"], shapes[f"weight_{i}"] = layer.weight, len(layer.weight)
        if layer.bias is not None:
            parts[f"bias_{i}"], shapes[f"bias_{i}"] = layer.bias, len(layer.bias)
    rule = {
        "format_version": FORMAT_VERSION,
        "characters": table.rule.characters,
        "unknown": table.rule.unknown,
        "rows": table.rows is not None,
        "factors": factors is not None,
        "layers": [layer.activation for layer in table.layers],
        "shapes": shapes,
    }
    return parts, rule
