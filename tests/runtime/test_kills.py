"""SIGKILL at random moments of add, delete, update, compact and graph write, against a model."""

import json
import random
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex

KILLS = 220
D_IN = 32

# Forks a worker per line it reads; the worker says each operation before and after, and goes on until it is killed.
SPAWNER = """
    import json, os, random, signal, sys
    import numpy as np
    from steersearch.runtime import SteerableIndex

    def unit(seed, n):
        rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def work(seed):
        rng = random.Random(seed)
        index = SteerableIndex.open(sys.argv[1], bundle=sys.argv[2], backend="hnsw")

        def say(**operation):
            os.write(1, (json.dumps(operation) + "\\n").encode())

        spawner = os.getppid()
        while os.getppid() == spawner:  # else the test has failed and ended
            kind = rng.choice(["add", "add", "delete", "update", "compact", "save", "save"])
            ids = sorted({str(rng.randrange(300)) for _ in range(rng.choice([1, 5, 60]))})
            operation = {"kind": kind, "ids": ids, "seed": rng.randrange(10**9)}
            say(**operation, done=False)
            if kind == "add":
                texts = [f"{operation['seed']} {id}" for id in ids]
                metadata = [{"seed": operation["seed"]}] * len(ids)
                index.add(texts, ids=ids, metadata=metadata, embeddings=unit(operation["seed"], len(ids)))
            elif kind == "delete":
                index.delete(ids)
            elif kind == "update":
                ids = [id for id in ids if id in index]
                index.update_metadata(ids, [{"seed": operation["seed"]}] * len(ids))
            else:
                getattr(index, kind)()
            say(**operation, done=True)

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(int(line))
        os.write(1, (json.dumps({"child": child}) + "\\n").encode())
        sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.write(1, b'{"killed": true}\\n')
"""


def unit(seed, n):
    rows = np.random.default_rng(seed).standard_normal((n, D_IN)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def applied(model, operation):
    """The documents after an operation: id -> (text, seed in the metadata, vector)."""
    after, ids, seed = dict(model), operation["ids"], operation["seed"]
    if operation["kind"] == "add":
        vectors = unit(seed, len(ids))
        after |= {id: (f"{seed} {id}", seed, vectors[i].tobytes()) for i, id in enumerate(ids)}
    elif operation["kind"] == "delete":
        after = {id: document for id, document in after.items() if id not in ids}
    elif operation["kind"] == "update":
        after |= {id: (after[id][0], seed, after[id][2]) for id in ids if id in after}
    return after


def contents(index):
    ids, _, vectors = index.documents()
    records = index.get(ids)
    return {r.id: (r.text, r.metadata["seed"], vector.tobytes()) for r, vector in zip(records, vectors, strict=True)}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks and kills")
def test_nothing_acknowledged_is_lost_and_nothing_else_is_half_there(opened_bundle, tmp_path):
    path, rng, model = tmp_path / "index", random.Random(0), {}
    SteerableIndex.create(path, opened_bundle).close()
    command = [sys.executable, "-c", textwrap.dedent(SPAWNER), path, opened_bundle.path]
    spawner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    interrupted = []

    def say(line):
        spawner.stdin.write(f"{line}\n")
        spawner.stdin.flush()

    try:
        for kill in range(KILLS):
            say(kill)
            lines = [json.loads(spawner.stdout.readline())]
            while len(lines) < 2:  # the child is known, and at work
                lines.append(json.loads(spawner.stdout.readline()))
            time.sleep(rng.random() * 0.1)
            say("kill")
            while "killed" not in lines[-1]:
                lines.append(json.loads(spawner.stdout.readline()))
            operations = [line for line in lines if "kind" in line]
            for operation in operations:
                if operation["done"]:
                    model = applied(model, operation)
            last = operations[-1]
            with SteerableIndex.open(path, bundle=opened_bundle, backend="hnsw", readonly=kill % 2 == 0) as index:
                found = contents(index)
                if last["done"]:
                    assert found == model
                else:
                    interrupted.append(last["kind"])
                    assert found in (model, applied(model, last))
                model = found
                well = index.verify(sample=0)
                assert well.ok, well.problems
                assert well.documents == len(index) == len(model)
                if model:
                    query = unit(kill, 1)[0]
                    scores = {id: float(np.frombuffer(row, np.float32) @ query) for id, (_, _, row) in model.items()}
                    best = sorted(scores, key=scores.__getitem__, reverse=True)[:3]
                    assert [hit.id for hit in index.search(query, 3)] == best
    finally:
        spawner.kill()
        spawner.communicate()
    assert set(interrupted) == {"add", "delete", "update", "compact", "save"}
    assert len(interrupted) > KILLS / 2
