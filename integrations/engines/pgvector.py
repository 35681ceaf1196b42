"""Documents, vectors and sparse codes in PostgreSQL with pgvector 0.7 or newer (`pip install 'psycopg[binary]'`).

Example: ``SteeredPgvector("postgresql://localhost/mine", "documents", bundle="bundle")``, see the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray
from ...errors import ConfigError, DataError, FilterError
from ...json_values import json_values
from ...runtime import Bundle, Hit
from ...text import shown
from ..optional import needs
from .sparse import DEPTH, RRF_K, Code, SparseEngine

with needs("psycopg", pip="'psycopg[binary]'"):
    import psycopg
    from psycopg import sql
    from psycopg.types.json import Jsonb

MAX_NAME = 63
"""Bytes of a name. PostgreSQL cuts a longer one off, so that two tables could become one."""
MAX_INDEXED = 1000
"""Non-zero elements of a `sparsevec` that pgvector's HNSW takes; a column without a graph holds 16,000."""
CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    n bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, text text NOT NULL, metadata jsonb NOT NULL,
    dense vector({d_in}) NOT NULL, codes sparsevec({n_latents}) NOT NULL
)"""
DIMENSIONS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname IN ('dense', 'codes')"""
UPSERT = """
INSERT INTO {table} (id, text, metadata, dense, codes) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    text = EXCLUDED.text, metadata = EXCLUDED.metadata, dense = EXCLUDED.dense, codes = EXCLUDED.codes"""
DENSE = """
SELECT id, text, metadata, 1 - (dense <=> %(dense)s) FROM {table} WHERE metadata @> %(filter)s
ORDER BY dense <=> %(dense)s LIMIT %(k)s"""
LATENT = """
SELECT id, text, metadata, -(codes <#> %(codes)s) FROM {table} WHERE metadata @> %(filter)s
ORDER BY codes <#> %(codes)s LIMIT %(k)s"""
HYBRID = """
WITH d AS (
    SELECT id, row_number() OVER () AS rank
    FROM (SELECT id FROM {table} WHERE metadata @> %(filter)s ORDER BY dense <=> %(dense)s LIMIT %(depth)s) a
), c AS (
    SELECT id, row_number() OVER () AS rank
    FROM (SELECT id FROM {table} WHERE metadata @> %(filter)s ORDER BY codes <#> %(codes)s LIMIT %(depth)s) b
), f AS (
    SELECT id, coalesce(1.0 / (%(rrf)s + d.rank), 0) + coalesce(1.0 / (%(rrf)s + c.rank), 0) AS score
    FROM d FULL JOIN c USING (id)
)
SELECT id, text, metadata, score FROM f JOIN {table} USING (id) ORDER BY score DESC, n LIMIT %(k)s"""
GRAPHS = """
CREATE INDEX ON {table} USING hnsw (dense vector_cosine_ops);
CREATE INDEX ON {table} USING hnsw (codes sparsevec_ip_ops)"""


class SteeredPgvector(SparseEngine):
    """A table with a `vector` and a `sparsevec` column; made when it is not there. Exact until `build_graphs`.

    `filter` is a mapping of metadata fields to the values they must have; hybrid is RRF in one SQL query.

    Args:
        conninfo: How to reach the server, as `psycopg.connect` takes it; connected again after it went away.
        table: Its name, also ``schema.table``.
        bundle, sample: As in `SteeredEngine`.

    Raises:
        ConfigError: The table has other dimensions or columns, or its name cannot be one.
        EngineError: The server does not answer, or has no pgvector of version 0.7.
    """

    provider = "pgvector"

    def __init__(
        self, conninfo: str, table: str, bundle: str | Path | Bundle, sample: Sequence[str] | FloatArray | None = None
    ) -> None:
        super().__init__(bundle, sample)
        self._conninfo, self.table = conninfo, table
        self._connection: psycopg.Connection[Any] | None = None
        self._name = sql.Identifier(*_parts(table))
        self._run(["CREATE EXTENSION IF NOT EXISTS vector"])
        sizes = {"d_in": sql.Literal(self.bundle.d_in), "n_latents": sql.Literal(self.bundle.n_latents)}
        self._run([sql.SQL(CREATE).format(table=self._name, **sizes)])
        found = dict(self._run([DIMENSIONS], [self._name.as_string(None)]))
        expected = {"dense": f"vector({self.bundle.d_in})", "codes": f"sparsevec({self.bundle.n_latents})"}
        if found != expected:
            raise ConfigError(
                f"the table {table!r} has the columns {found} and the bundle {self.bundle.path} needs {expected}: "
                "use the bundle that filled it, or another name"
            )

    def build_graphs(self) -> None:
        """Make HNSW graphs over vectors and codes. Searches are approximate from then on, and quick on many documents.

        Raises:
            ConfigError: The bundle's codes have more non-zero elements than pgvector's HNSW takes.
            EngineError: The server does not answer.
        """
        if self.bundle.k > MAX_INDEXED:
            limit = f"pgvector's HNSW takes {MAX_INDEXED}"
            raise ConfigError(f"codes have up to {self.bundle.k} non-zero elements: {limit}")
        self._run([sql.SQL(part).format(table=self._name) for part in GRAPHS.split(";")])

    def close(self) -> None:
        """Close the connection; harmless twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[dict[str, Any]],
        vectors: FloatArray,
        codes: Sequence[Code],
    ) -> None:
        rows = [
            (id, text, Jsonb(entry), _dense_text(vector), self._sparse_text(code))
            for id, text, entry, vector, code in zip(ids, texts, metadata, vectors, codes, strict=True)
        ]
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(sql.SQL(UPSERT).format(table=self._name), rows)

    def _check_sizes(self, ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        for id, text, entry in zip(ids, texts, metadata, strict=True):
            if "\0" in id or "\0" in text or "\\u0000" in json.dumps(entry):
                raise DataError(
                    f"the document {shown(id)} holds the character U+0000: PostgreSQL takes none, remove it"
                )

    def _dense(self, vector: FloatArray, k: int, filter: Any) -> list[Hit]:
        return self._select(DENSE, filter, dense=_dense_text(vector), k=k)

    def _latent(self, code: Code, k: int, filter: Any) -> list[Hit]:
        return self._select(LATENT, filter, codes=self._sparse_text(code), k=k)

    def _hybrid(self, vector: FloatArray, code: Code, k: int, filter: Any) -> list[Hit]:
        depth = {"depth": max(k, DEPTH), "rrf": RRF_K}
        return self._select(HYBRID, filter, dense=_dense_text(vector), codes=self._sparse_text(code), k=k, **depth)

    def _select(self, query: str, filter: Any, **values: Any) -> list[Hit]:
        if filter is not None and not isinstance(filter, Mapping):
            raise FilterError(f"filter is {shown(filter)}: pgvector takes a mapping of metadata fields to their values")
        found = self._run(
            [sql.SQL(query).format(table=self._name)], {**values, "filter": Jsonb(json_values(filter or {}))}
        )
        return [Hit(rank, id, float(score), text, extra) for rank, (id, text, extra, score) in enumerate(found, 1)]

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents with one query; see `SteeredEngine.vectors`."""
        query = sql.SQL("SELECT id, dense::text FROM {table} WHERE id = ANY(%s)").format(table=self._name)
        rows = {id: np.array(json.loads(text), np.float32) for id, text in self._run([query], [list(ids)])}
        return [rows.get(id) for id in ids]

    def _vector_of(self, id: str) -> FloatArray | None:
        return self.vectors([id])[0]

    def _sparse_text(self, code: Code) -> str:
        """Return a code as pgvector reads it; its elements count from 1."""
        return f"{{{','.join(f'{latent + 1}:{weight!r}' for latent, weight in code.items())}}}/{self.bundle.n_latents}"

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._conninfo, autocommit=True)
        return self._connection

    def _run(self, queries: Sequence[Any], values: Any = None) -> list[Any]:
        def run() -> list[Any]:
            for query in queries:
                cursor = self._connected().execute(query, values)
            return cursor.fetchall() if cursor.description else []

        rows: list[Any] = self._call(run)
        return rows


def _dense_text(vector: FloatArray) -> str:
    """Return a vector as pgvector reads it."""
    return json.dumps(vector.tolist())


def _parts(table: str) -> list[str]:
    """Return the name of a table as schema, where it has one, and name; errors as of `SteeredPgvector`."""
    parts = table.split(".")
    if len(parts) > 2 or not all(0 < len(part.encode()) <= MAX_NAME and "\0" not in part for part in parts):
        raise ConfigError(
            f"the table is called {shown(table)}: expected NAME or SCHEMA.NAME, each of 1 to {MAX_NAME} bytes"
        )
    return parts
