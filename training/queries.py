"""Training queries: real ones from pairs, and others made from the documents that look like what people type."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import NamedTuple

from ..corpus import Corpus
from ..errors import ConfigError, DataError
from ..text import SENTENCE_END, one_line

MIN_WORDS = 3
MAX_WORDS = 12
MAX_CHARS = 300
"""Longest query; longer ones are cut. A text without sentence ends would become one long query."""
DRAWS_PER_QUERY = 4
"""Candidates per wanted query. In a small corpus many candidates are equal."""
MAX_PER_DOCUMENT = 256
"""Most candidates per document, which bounds the work on a few long documents."""
REAL_SHARE = 0.5
"""Largest share of real queries: varied ones matter as much."""


class Queries(NamedTuple):
    """Training queries, the real ones first."""

    texts: list[str]
    """Distinct, non-empty strings."""
    n_real: int
    """Number of queries that come from pairs."""


def natural_queries(corpus: Corpus, *, limit: int, seed: int) -> Queries:
    """Choose training queries: those of the pairs first, then pieces of the documents.

    The pieces are of three kinds in turn: a document's beginning (its title, else its first sentence), a random
    sentence, and a random span of 3 to 12 words. Every document has the same chance (reservoir sampling, Vitter 1985,
    doi:10.1145/3147.3165), so a pass holds `limit` queries and one document. The same seed gives the same queries.

    Args:
        corpus: Read twice: once for its pairs and length, once for its texts.
        limit: Wanted number of queries; fewer are returned when the corpus has no more distinct ones.
        seed: Seed of the choice. Where pairs would give more than half of `limit`, their queries are chosen as well.

    Raises:
        ConfigError: `limit` is below 1.
        DataError: The corpus or its pairs cannot be read.
    """
    if limit < 1:
        raise ConfigError(f"limit is {limit}: at least one query is needed")
    rng = random.Random(seed)
    most = max(1, int(REAL_SHARE * limit))
    real = real_queries(corpus, most, rng)
    wanted = limit - len(real)
    per_document = min(max(3, -(-DRAWS_PER_QUERY * wanted // len(corpus))), MAX_PER_DOCUMENT)
    made = draw_distinct(_candidates(corpus, per_document, rng), wanted, rng, set(real)) if wanted else []
    return Queries(real + made, len(real))


def real_queries(corpus: Corpus, most: int, rng: random.Random) -> list[str]:
    """Choose at most `most` different queries of the corpus's pairs, each with the same chance."""
    return draw_distinct((partial(tidy, query) for query, _ in corpus.pairs()), most, rng, set())


def check_varied(corpus: Corpus, queries: list[str]) -> None:
    """Check that there is something to learn: two different documents at least, and two different queries.

    Raises:
        DataError: All documents have the same text, or they give one query only.
    """
    first = next(corpus.texts())
    if all(text == first for text in corpus.texts()):
        raise DataError(f"{corpus.name}: {len(corpus)} documents with one text, {one_line(first, 60)!r}: add others")
    if len(queries) < 2:
        raise DataError(f"{corpus.name}: all documents give one query, {queries[0]!r}: add others, or set max_queries")


def relevant_rows(corpus: Corpus, queries: list[str]) -> list[dict[int, int]]:
    """Return the judgments of real queries, from `natural_queries`: row of a document -> 1, one mapping per query.

    The corpus is read twice: once for its pairs, once for its ids.
    """
    place = {query: i for i, query in enumerate(queries)}
    answers: dict[str, list[int]] = {}
    for query, id_ in corpus.pairs():
        if (i := place.get(tidy(query))) is not None:
            answers.setdefault(id_, []).append(i)
    judged: list[dict[int, int]] = [{} for _ in queries]
    for row, document in enumerate(corpus.documents()):
        for i in answers.get(document.id, ()):
            judged[i][row] = 1
    return judged


def draw_distinct(candidates: Iterable[Callable[[], str]], size: int, rng: random.Random, taken: set[str]) -> list[str]:
    """Draw `size` distinct candidates that are not in `taken`, each with the same chance.

    A candidate is a function, so that a text is only cut up when its query is kept.
    """
    kept: list[str] = []
    for number, make in enumerate(candidates):
        slot = len(kept) if len(kept) < size else rng.randrange(number + 1)
        if slot >= size or not (query := make()) or query in taken:
            continue
        if slot == len(kept):
            kept.append(query)
        else:
            taken.discard(kept[slot])
            kept[slot] = query
        taken.add(query)
    return kept


def _candidates(corpus: Corpus, per_document: int, rng: random.Random) -> Iterator[Callable[[], str]]:
    kinds = cycle((_beginning, _sentence, _span))
    for text in corpus.texts():
        for kind in islice(kinds, per_document):
            yield partial(kind, text, rng)


def _beginning(text: str, rng: random.Random) -> str:
    return tidy(SENTENCE_END.split(text.strip(), maxsplit=1)[0])


def _sentence(text: str, rng: random.Random) -> str:
    """Choose a sentence, or a span of words where the sentence has only one or two words."""
    sentence = tidy(rng.choice(SENTENCE_END.split(text.strip())))
    return sentence if len(words_of(sentence)[0]) >= MIN_WORDS else _span(text, rng)


def _span(text: str, rng: random.Random) -> str:
    words, joint = words_of(text)
    length = min(rng.randint(MIN_WORDS, MAX_WORDS), len(words))
    start = rng.randrange(len(words) - length + 1)
    return tidy(joint.join(words[start : start + length]))


def words_of(text: str) -> tuple[list[str], str]:
    """Split a text at spaces, or into characters in scripts without spaces; also return what joins them."""
    words = text.split()
    return (words, " ") if len(text) <= 30 * len(words) else (list("".join(words)), "")


def tidy(text: str) -> str:
    """Put a query on one line and cut a very long one, at a space where there is one."""
    line = " ".join(text[: 4 * MAX_CHARS].split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS + 1].rpartition(" ")[0] or line[:MAX_CHARS]
