"""Bundles that are given away and fetched: a folder to share, a repository on the Hugging Face hub, and back."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...embedding_cache import default_cache_dir
from ...errors import BundleError, ConfigError
from ...files import absolute, read_small, sha256_of
from ...hub import Repository, link_or_copy, push
from ...model_card import CARD, model_card
from .interpretation import Interpretation, interpretation_bytes, read_interpretation_file, without_passages
from .manifest import (
    FEATURES,
    INTERPRETATION,
    MANIFEST,
    MAX_BYTES,
    NO_EMBEDDER,
    ORIGIN,
    Manifest,
    read_manifest,
)
from .reading import MALFORMED, read_json
from .write import staged_folder

_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_ORIGIN = 4096


def fetch_bundle(name: str, revision: str | None, out: str | Path | None) -> Path:
    """Download a bundle and return its folder; see `Bundle.from_pretrained`."""
    if out is None and revision and _COMMIT.fullmatch(revision) and _is_bundle(folder := _place(name, revision)):
        return folder
    repository = Repository(name, revision, first=MANIFEST, error=BundleError)
    folder = _place(name, repository.commit) if out is None else absolute(out)
    if out is None and _is_bundle(folder):
        return folder
    listed = repository.fetch(MANIFEST, most=MAX_BYTES).read_bytes()
    try:
        manifest = Manifest.from_json(listed.decode("utf-8"), source=f"{MANIFEST} of {name}")
    except UnicodeDecodeError as error:
        raise BundleError(f"{MANIFEST} of {name} is not UTF-8 text ({error})") from error
    origin = {"repo": name, "commit": repository.commit, "revision": revision or "main"}
    try:
        with staged_folder(folder, overwrite=False) as staged:
            for file, entry in manifest.files.items():
                if file not in (ORIGIN, MANIFEST):
                    size = int(entry["bytes"])
                    link_or_copy(repository.fetch(file, most=size, exactly=size), staged / file)
            (staged / ORIGIN).write_text(json.dumps(origin) + "\n", encoding="utf-8")
            _write_manifest(staged, manifest, {ORIGIN})
            # Compares every checksum: what was listed is what came.
            read_manifest(staged)
    except BundleError:
        # Another process has fetched the same commit meanwhile.
        if out is not None or not _is_bundle(folder):
            raise
    return folder


def read_origin(folder: Path, manifest: Manifest) -> dict[str, str] | None:
    """Return `repo`, `commit` and `revision` of a bundle that was fetched; None for another one."""
    if ORIGIN not in manifest.files:
        return None
    try:
        found: Any = read_json(folder / ORIGIN, _MAX_ORIGIN)
        return {name: str(found[name]) for name in ("repo", "commit", "revision")}
    except MALFORMED as error:
        raise BundleError(f"{folder / ORIGIN} cannot be read ({error}): fetch the bundle again") from error


def copy_bundle(folder: Path, manifest: Manifest, out: str | Path, *, passages: bool, overwrite: bool) -> Path:
    """Write a bundle for others to `out` and return that; see `Bundle.save_pretrained`."""
    if manifest.embedder_kind == NO_EMBEDDER and not passages:
        raise ConfigError(
            f"{folder} has no embedder, and knows it by some texts of your documents (embedder.probes.npz), which go "
            "with it: share it with passages=True, or not at all"
        )
    out = absolute(out)
    with staged_folder(out, overwrite=overwrite) as staged:
        for name in manifest.files:
            if name != ORIGIN:
                shutil.copyfile(folder / name, staged / name)
        changed: set[str] = set()
        if not passages:
            changed = _remove_passages(staged, manifest)
        files = {name: entry for name, entry in manifest.files.items() if name != ORIGIN}
        _write_manifest(staged, replace(manifest, files=files), changed)
        read_manifest(staged)
        (staged / CARD).write_text(_card(staged, manifest), encoding="utf-8")
    return out


def push_bundle(
    folder: Path, manifest: Manifest, repo: str, *, passages: bool, private: bool, revision: str | None, message: str
) -> str:
    """Send a bundle to the hub and return the commit; see `Bundle.push_to_hub`."""
    with tempfile.TemporaryDirectory(prefix="steersearch-") as scratch:
        made = copy_bundle(folder, manifest, Path(scratch, "bundle"), passages=passages, overwrite=False)
        names = [MANIFEST, CARD, *read_manifest(made, verify=False).files]
        return push(made, repo, names, revision=revision, private=private, message=message, error=BundleError)


def _place(name: str, commit: str) -> Path:
    return default_cache_dir() / "bundles" / name.replace("/", "--") / commit


def _is_bundle(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _write_manifest(folder: Path, manifest: Manifest, changed: set[str]) -> None:
    """Write a manifest in which the files that were changed have their new sizes and checksums."""
    new: dict[str, dict[str, str | int]]
    new = {name: {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size} for name in changed}
    (folder / MANIFEST).write_text(replace(manifest, files=manifest.files | new).to_json(), encoding="utf-8")


def _remove_passages(folder: Path, manifest: Manifest) -> set[str]:
    """Remove the texts of documents and queries from the features and the interpretation; return the files' names."""
    path = folder / FEATURES
    raw = json.loads(read_small(path, path.stat().st_size))
    for entry in raw["latents"]:
        entry["examples"] = []
    path.write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    if INTERPRETATION not in manifest.files:
        return {FEATURES}
    path = folder / INTERPRETATION
    path.write_bytes(interpretation_bytes(without_passages(read_interpretation_file(path, manifest.n_latents))))
    return {FEATURES, INTERPRETATION}


def _card(folder: Path, manifest: Manifest) -> str:
    found: Interpretation | None = None
    if INTERPRETATION in manifest.files:
        found = read_interpretation_file(folder / INTERPRETATION, manifest.n_latents)
    labelled = sum(not entry.unclear for entry in found.entries) if found else 0
    embedder = manifest.embedder.get("id")
    return model_card(
        "A steersearch bundle",
        f"Embedder, autoencoder and features for search that people can steer, over {embedder or 'an embedder'}.",
        facts={
            "embedder": embedder,
            "its revision": manifest.embedder.get("revision"),
            "sha256 of its weights": manifest.embedder.get("sha256"),
            "width of the embeddings": manifest.d_in,
            "latents, active at a time": f"{manifest.n_latents:,}, {manifest.k}",
            "tokens read of a text": f"{manifest.max_length:,}",
            "precision of the embedder": manifest.precision,
            "features with a label": f"{labelled:,}, tested on held-out documents of {found.corpus}" if found else None,
            "written by": f"steersearch {manifest.steersearch_version}",
        },
        code='from steersearch.runtime import Bundle\n\nbundle = Bundle.from_pretrained("OWNER/NAME")',
        tags=("sentence-similarity",),
        base_model=embedder,
        licence="See the file LICENSES.",
    )
