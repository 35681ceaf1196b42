"""Embedding on a real Ray cluster of several processes, one of which is killed on the way."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.ingest.shards import HEADER

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # ray warns about this and that
ray = pytest.importorskip("ray", reason="needs the extra ray")

SHARDS = 4
ROWS = 12_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two machines of one CPU each, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=options)
    made.add_node(num_cpus=1, object_store_memory=100_000_000)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("ray") / "docs.jsonl"
    texts = (f"The number {i} is an integer; the name of module {i * 7} is class {i % 13}." for i in range(ROWS))
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


def kill_one(shards, killed, ended):
    """Kill a worker whose shard has begun and is not finished; the lock of the shard names it."""
    while not ended.is_set():
        for header in sorted(shards.glob(f"*/{HEADER}")):
            try:
                said = json.loads(header.read_text())
                if said["parts"] and said["positions"] is None:
                    process = json.loads((header.parent / "writer.json").read_text())["process"]
                    os.kill(process, signal.SIGKILL)
                    killed.append((header.parent.name, len(said["parts"]), process))
                    return
            except (OSError, ValueError):
                continue
        time.sleep(0.005)


def test_the_index_is_that_of_one_process_although_a_worker_was_killed(cluster, documents, tiny_bundle, tmp_path):
    from steersearch.integrations.ray import embed_on_ray

    killed, ended = [], threading.Event()
    killer = threading.Thread(target=kill_one, args=(tmp_path / "shards", killed, ended))
    killer.start()
    try:
        assert embed_on_ray(documents, tiny_bundle, tmp_path / "shards", shards=SHARDS) == ROWS
    finally:
        ended.set()
        killer.join()
    assert len(killed) == 1
    with SteerableIndex.create(tmp_path / "alone", tiny_bundle) as alone:
        alone.add_from(documents)
        with SteerableIndex.create(tmp_path / "index", tiny_bundle) as index:
            assert index.merge([tmp_path / "shards"]) == (ROWS, {}, 0, 0)
            for one, other in zip(index.documents(), alone.documents(), strict=True):
                assert np.array_equal(one, other)
            rows = index._store.rowids()
            for one, other in zip(index._store.codes_of(rows), alone._store.codes_of(rows), strict=True):
                assert np.array_equal(one, other)
            for boost in (None, {"class": 1.0}):
                found = [[(h.id, h.score) for h in i.search("a number", 10, boost=boost)] for i in (index, alone)]
                assert found[0] == found[1]


def test_errors_of_workers_reach_the_caller(cluster, documents, tiny_bundle, tmp_path):
    from steersearch.integrations.ray import embed_on_ray

    with pytest.raises(ConfigError, match="shards is 0"):
        embed_on_ray(documents, tiny_bundle, tmp_path / "s", shards=0)
    with pytest.raises(DataError, match="does not exist"):
        embed_on_ray(tmp_path / "nowhere.jsonl", tiny_bundle, tmp_path / "s", shards=1)
