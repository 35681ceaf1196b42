"""A bundle without an embedder, made of tests/data/tiny_bundle, whose own embedder plays the one from outside."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from steersearch.files import sha256_of
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.bundle.manifest import EMBEDDER, MANIFEST, NO_EMBEDDER, TOKENIZER, read_manifest
from steersearch.runtime.bundle.probes import write_probes

WHOLE = Path(__file__).parent / "data" / "tiny_bundle"
PROBES = [
    "the moon and a planet near the star",
    "bread with cheese in a kitchen",
    "a whale and a storm at sea near the island",
    "the doctor and the nurse of the hospital",
    "python module with a class and a function",
    "tennis and football in the stadium",
    "rose, soil and a seed for the bee",
    "violin and piano in concert",
]


def make_bare_bundle(out, probes=PROBES, name="tiny-embedding-1"):
    """Write the bundle to `out` and return its path."""
    whole = Bundle.load(WHOLE, threads=1)
    shutil.copytree(WHOLE, out)
    for file in (EMBEDDER, TOKENIZER, MANIFEST):
        (out / file).unlink()
    write_probes(out, probes, whole.embed_documents(probes))
    files = {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(out.iterdir())}
    manifest = replace(
        read_manifest(WHOLE),
        embedder_kind=NO_EMBEDDER,
        embedder={"id": name, "revision": None, "sha256": None},
        files=files,
        max_length=8191,
        pooling="",
    )
    (out / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    assert json.loads(manifest.to_json())["format_version"] == 2
    return out
