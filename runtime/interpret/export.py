"""Features for other programs: a table of all of them, or the graph of one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from ..._files import replace_file
from ...errors import BundleError, ConfigError, StorageError
from ..bundle import Bundle
from ..features import Feature, Features
from .trie import to_dot, to_json, to_svg

COLUMNS = (
    *("name", "label", "score", "unclear", "guess", "pattern_score", "density", "mean", "p95", "max"),
    *("renamed", "hidden", "family", "note", "keywords", "examples"),
)


def export_features(features: Features, out: Path) -> None:
    """Write one line per feature, in the order of their ids, hidden ones too.

    Args:
        features: Of a bundle, as people edited them.
        out: A name that ends in .csv, with lists as texts with semicolons; or in .jsonl.

    Raises:
        ConfigError: Another ending.
        StorageError: The file cannot be written.
    """
    rows = [_row(feature) for feature in features]
    if out.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        _write(out, text.getvalue())
    elif out.suffix == ".jsonl":
        _write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        raise ConfigError(
            f"{out} ends in {out.suffix!r}: all features are written as .csv or .jsonl; for .json, .dot and .svg name "
            "one feature"
        )


def export_feature(bundle: Bundle, key: int | str, out: Path) -> None:
    """Write what makes a feature fire, its Neuron-to-Graph patterns as a trie.

    Args:
        bundle: A bundle that was interpreted.
        key: Latent or label.
        out: A name that ends in .json, .dot (Graphviz) or .svg.

    Raises:
        UnknownFeatureError: No such feature.
        ConfigError: Another ending, or nothing is known that makes it fire.
        BundleError: The bundle was never interpreted.
        StorageError: The file cannot be written.
    """
    feature = bundle.features.get(key)
    if out.suffix not in (".json", ".dot", ".svg"):
        raise ConfigError(
            f"{out} ends in {out.suffix!r}: one feature is written as .json, .dot or .svg; for .csv and .jsonl name "
            "none"
        )
    if bundle.interpretation is None:
        raise BundleError(
            f"{bundle.path} was never interpreted: sae features label --bundle {bundle.path} --data docs.jsonl"
        )
    entry = bundle.interpretation.entries[feature.id]
    if not entry.patterns:
        raise ConfigError(f"no words are known that make {feature} fire, so there is no graph of it")
    if out.suffix == ".json":
        _write(out, json.dumps(to_json(entry, feature.label), ensure_ascii=False, indent=1) + "\n")
    else:
        _write(out, to_dot(entry, feature.label) if out.suffix == ".dot" else to_svg(entry, feature.label))


def _row(feature: Feature) -> dict[str, Any]:
    return {name: getattr(feature, name) for name in COLUMNS}


def _cell(value: Any) -> Any:
    return "; ".join(" ".join(text.split()) for text in value) if isinstance(value, tuple) else value


def _write(out: Path, text: str) -> None:
    """By rename, so that there is never half a file."""
    try:
        replace_file(out, text.encode(errors="replace"))  # half a surrogate pair is text that no file can hold
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {out} ({reason}): give a file in a folder that exists") from error
