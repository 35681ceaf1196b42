"""Embed a corpus on a Ray cluster (extra ``ray``).

::

    from steersearch.integrations.ray import embed_on_ray

    embed_on_ray("/shared/docs.parquet", "/shared/bundle", "/shared/shards", shards=1000)   # then: sae index merge

Ray Data spreads the shards of `runtime.ingest.shards` over actors that keep a bundle open. Source, bundle and shards
lie where every machine of the cluster finds them. Ray restarts a shard whose process or machine dies, and the shard
resumes after its last finished block, so the index is the one that a single process makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, SteersearchError
from ..runtime import Bundle
from ..runtime.ingest.shards import embed_shard
from .optional import needs

with needs("ray", "pyarrow", pip="'steersearch[ray]'"):
    import ray
    import ray.data


class _ShardEmbedder:
    """An actor that opens the bundle once and embeds the shards that it receives."""

    def __init__(self, source: str, bundle: str, out: str, shards: int, options: dict[str, Any]) -> None:
        self._source, self._out, self._shards, self._options = source, out, shards, options
        self._bundle = Bundle.load(bundle, threads=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        made = []
        for number in batch["id"]:
            shard = (int(number) + 1, self._shards)
            try:
                _, done = embed_shard(self._source, self._bundle, self._out, shard, resume=True, **self._options)
                made.append((done.documents, ""))
            except SteersearchError as error:  # for the caller: Ray would only try again
                made.append((0, str(error)))
        documents, errors = [count for count, _ in made], [why for _, why in made]
        return {"documents": np.array(documents, np.int64), "error": np.array(errors, object)}


def embed_on_ray(
    source: str | Path,
    bundle: str | Path,
    out: str | Path,
    *,
    shards: int,
    workers: int | None = None,
    cpus: float = 1,
    chunk_tokens: int | None = None,
    overlap: int | None = None,
    text_column: str | None = None,
) -> int:
    """Embed all shards of a corpus; finished ones stay as they are.

    Args:
        source: What `Corpus.open` takes as a path, as every machine sees it.
        bundle: The exported folder, as every machine sees it.
        out: The folder of all shards, as every machine sees it; made when missing.
        shards: Their number; some ten per worker, so that all end together. The same number resumes an earlier run.
        workers: Processes; as many as the cluster has CPUs by default, at most one per shard.
        cpus: CPUs per process; each embeds with one thread.
        chunk_tokens: As in `SteerableIndex.add_from`; `overlap` too.
        overlap: As there.
        text_column: As in `Corpus.open`.

    Returns:
        Documents, or chunks, in all shards; `SteerableIndex.merge` or ``sae index merge`` joins them.

    Raises:
        ConfigError: `shards` is below 1.
        DataError: Shards failed: the source cannot be read, the disk is full, ...; the others are finished.
    """
    if shards < 1:
        raise ConfigError(f"shards is {shards}: at least one is needed")
    if not ray.is_initialized():
        ray.init()
    count = int(ray.cluster_resources().get("CPU", 1) // cpus) or 1
    options = {"chunk_tokens": chunk_tokens, "overlap": overlap, "text_column": text_column}
    places = [str(Path(place).resolve()) for place in (source, bundle, out)]
    # Items, and not a range, which would be read by tasks that wait for a CPU while all of them embed.
    numbers = ray.data.from_items([{"id": number} for number in range(shards)], override_num_blocks=shards)
    embedded = numbers.map_batches(
        _ShardEmbedder,
        fn_constructor_args=(*places, shards, options),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(shards, count) if workers is None else workers),
        num_cpus=cpus,
    )
    rows = list(embedded.iter_rows())
    failed = [row["error"] for row in rows if row["error"]]
    if failed:
        raise DataError(f"{len(failed)} of {shards} shards failed, one because {failed[0]}")
    return sum(int(row["documents"]) for row in rows)
