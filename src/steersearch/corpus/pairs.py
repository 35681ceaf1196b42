"""Queries and the documents that answer them: files of pairs, and the judgments of BEIR folders."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .columns import find_column
from .lines import check_inside, read_lines
from .readers import field, first_file, id_field, listed, read_json_lines, suffix_of
from .tables import read_table


def read_pairs(path: Path | str) -> list[tuple[str, str]]:
    """Read (query text, document id) pairs from a file of their own, in its order.

    Args:
        path: .jsonl with ``{"query", "id"}``, .csv with the header ``query,id``, or .tsv with that header or with just
            these two columns; each may end in .gz.

    Raises:
        DataError: The file cannot be read or has another format, or a line lacks its query or its id.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix == "jsonl":
        lines = read_json_lines(path)
        return [_pair(field(record, "query", place), id_field(record, place), place) for place, _, record in lines]
    if suffix not in ("csv", "tsv"):
        raise DataError(f"{path} is no file of pairs: expected .jsonl, .tsv or .csv (.gz allowed)")
    separator, names = (",", ()) if suffix == "csv" else ("\t", ("query", "id"))
    header, records = read_table(path, separator, names=names)
    query, *ids = (find_column(path, header, name) for name in ("query", "_id", "id"))
    if not query or not any(ids):
        raise DataError(f"{path} has the columns {listed(header)}: expected query and id")
    return [_pair(record[query], id_field(record, place, ids), place) for place, _, record in records]


def read_queries(folder: Path) -> dict[str, str]:
    """Read ``queries.jsonl[.gz]`` of a BEIR folder: query id -> text, of all splits.

    Raises:
        DataError: The folder has no such file, it cannot be read, or a query has no text.
    """
    path = first_file(folder, "queries.jsonl", "queries.jsonl.gz")
    if path is None:
        raise DataError(f"{folder} has no queries.jsonl[.gz]: expected a BEIR folder")
    lines = read_json_lines(path)
    return {id_field(record, place): field(record, "text", place, required=True) for place, _, record in lines}


def read_qrels(folder: Path, split: str) -> dict[str, dict[str, int]]:
    """Read the judgments of one split of a BEIR folder: query id -> document id -> score, 0 for no answer.

    Args:
        folder: Has ``qrels/SPLIT.tsv`` with the columns query-id, corpus-id, score.
        split: ``train``, ``dev`` or ``test``. `Corpus` reads ``train`` only: test queries must not be trained on.

    Raises:
        DataError: There is no such split, it holds no judgment, or a line is malformed.
    """
    path = folder / "qrels" / f"{split}.tsv"
    if path.exists():
        check_inside(path, folder)
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        place = f"{path}, line {number}"
        if len(cells) != 3:
            raise DataError(f"{place} has {len(cells)} columns, expected 3 (query-id, corpus-id, score)")
        if not qrels and cells[2].strip() == "score":
            continue
        try:
            qrels.setdefault(cells[0], {})[cells[1]] = int(cells[2])
        except ValueError as error:
            raise DataError(f"{place}: the score {cells[2]!r} is not a whole number") from error
    if not qrels:
        raise DataError(f"{path} holds no judgment: expected a line with query-id, corpus-id and score for each")
    return qrels


def read_beir_pairs(folder: Path, split: str = "train") -> Iterator[tuple[str, str]]:
    """Yield (query text, document id) of every judgment above 0, in the order of the file.

    Raises:
        DataError: The queries or the judgments cannot be read, or they do not fit together.
    """
    texts = read_queries(folder)
    for query, judged in read_qrels(folder, split).items():
        if query not in texts:
            raise DataError(f"{folder}: qrels/{split}.tsv names the query {query!r}, which queries.jsonl does not have")
        yield from (
            (texts[query], document) for document, score in judged.items() if score > 0 and texts[query].strip()
        )


def _pair(query: str, id_: str, place: str) -> tuple[str, str]:
    if not query.strip() or not id_:
        raise DataError(f"{place} has no {'id' if query.strip() else 'query'}: a pair needs both")
    return query, id_
