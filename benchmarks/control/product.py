"""What this project does, as its users get it: an index over the searched half, and `search(query, boost=...)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, IntArray, unit_rows
from steersearch.runtime import Bundle, Concept, SteerableIndex
from steersearch.runtime.bundle.embedder import Embedder
from steersearch.runtime.search import terms
from steersearch.runtime.search.views import ViewName
from steersearch.runtime.steering.request import Key

from .method import Method, Search, overlap
from .rivals import FORCE, FORCES, angles
from .scoring import NOTHING, TOP, Bench, Pairs, Rows

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
DEFAULT = "1"
"""The strength that the documentation gives."""
AWAY = -1.0
AROUND = ("0.5", "2")
"""Half and twice the default."""
CURVES = ("phrase", "8 examples", "8 examples and phrase")
"""Forms of a concept that are measured at every strength."""
HYBRIDS = (
    "phrase: appended to the query, hybrid",
    "phrase: Weaviate moveTo, hybrid",
    "ours, the query moves, phrase, hybrid",
)
"""Rivals that use the words of the query too."""
VIEWS: tuple[ViewName, ...] = ("latent", "words", "hybrid")


class KnownTexts:
    """An embedder that embeds no text a second time, for concepts of thousands of examples."""

    def __init__(self, embedder: Embedder, rows: dict[str, FloatArray]) -> None:
        self._embedder, self._rows = embedder, rows

    def embed_documents(self, texts: Sequence[str], *, progress: Callable[..., None] | None = None) -> FloatArray:
        """Embed texts: unit rows, shape (n, d_in), float32."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update(zip(new, self._embedder.embed_documents(new), strict=True))
        return np.array([self._rows[text] for text in texts], np.float32)

    embed_queries = embed_documents

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Token ids of each text."""
        return self._embedder.tokenise(texts)

    def token_text(self, token: int) -> str:
        """The text of a token."""
        return self._embedder.token_text(token)


class Product:
    """An index over the searched documents of a task; their ids are their rows."""

    def __init__(self, bench: Bench, bundle: Bundle, folder: Path) -> None:
        self.bench, self.bundle = bench, bundle
        texts = [text for text, on in zip(bench.task.texts, bench.task.seen, strict=True) if not on]
        self.index = SteerableIndex.create(folder, bundle, backend="exact")
        self.index.add(texts, [str(row) for row in range(len(texts))], embeddings=bench.searched)

    def search(self, keys: Sequence[Key] | None = None, strength: float | str = 1.0, **arguments: Any) -> Search:
        """A search with the key of each pair's attribute boosted by a strength; without keys, without steering."""

        def found(pairs: Pairs) -> Rows:
            return self._rows(
                pairs, lambda attribute: {"boost": {keys[attribute]: strength} if keys else None} | arguments
            )

        return found

    def exclude(self, keys: Sequence[Key], **arguments: Any) -> Search:
        """A search without documents that are about the key of each pair's attribute."""
        return lambda pairs: self._rows(pairs, lambda attribute: {"exclude": [keys[attribute]]} | arguments)

    def appended(self, pairs: Pairs) -> Rows:
        """The hybrid view asked for the query and the phrase in one text."""
        queries, names = self.bench.task.queries, self.bench.names
        texts = [f"{queries[query]} {names[attribute]}" for query, attribute in zip(*pairs, strict=True)]
        return self._hits(self.bundle.embed_queries(texts), [{"text": text, "view": "hybrid"} for text in texts])

    def moved(self, pairs: Pairs, force: float) -> Rows:
        """The hybrid view with the vector that Weaviate's moveTo makes and the words of the query."""
        query, phrase = self.bench.queries[pairs.query], self.bench.phrases[pairs.attribute]
        vectors = unit_rows((1 - force / 2) * query + force / 2 * phrase)
        texts = [self.bench.task.queries[query] for query in pairs.query]
        return self._hits(vectors, [{"text": text, "view": "hybrid"} for text in texts])

    def _rows(self, pairs: Pairs, arguments: Callable[[int], dict[str, Any]]) -> Rows:
        texts = [self.bench.task.queries[query] for query in pairs.query]
        asked = zip(texts, pairs.attribute, strict=True)
        return self._hits(
            self.bench.queries[pairs.query], [{"text": text} | arguments(int(attribute)) for text, attribute in asked]
        )

    def _hits(self, vectors: FloatArray, arguments: Sequence[dict[str, Any]]) -> Rows:
        rows = np.full((len(vectors), TOP), NOTHING)
        for row, (vector, each) in enumerate(zip(vectors, arguments, strict=True)):
            hits = self.index.search(np.ascontiguousarray(vector), k=TOP, **each)
            rows[row, : len(hits)] = [int(hit.id) for hit in hits]
        return rows

    def directions(self, keys: Sequence[Key]) -> FloatArray:
        """What the query moves along, one row per key, shape (a, d_in)."""
        typical, atoms = self.bundle.features.typical, self.bundle.atoms
        found = []
        for key in keys:
            weights = self.index.resolve(key).weights
            latents = np.array(list(weights))
            found.append((np.array(list(weights.values()), np.float32) * typical[latents]) @ atoms[latents])
        return np.stack(found)


def keys_of(bench: Bench, bundle: Bundle, chosen: Sequence[Rows]) -> dict[str, list[Key]]:
    """Form of a concept -> its key for each attribute; texts of the half to learn from are the examples."""
    names = bench.names
    found: dict[str, list[Key]] = {"phrase": list(names)}
    found["one latent"] = [bundle.features.search(name, 1)[0].id for name in names]
    if chosen:
        learn = np.array([text for text, on in zip(bench.task.texts, bench.task.seen, strict=True) if on], object)
        few = [learn[rows].tolist() for rows in chosen]
        found["8 examples"] = [Concept.from_examples(texts) for texts in few]
        both = zip(names, few, strict=True)
        found["8 examples and phrase"] = [Concept.from_examples(texts, phrase=name) for name, texts in both]
        found["labels"] = [Concept.from_examples(list(dict.fromkeys(learn[rows]))) for rows in bench.members]
    return found


def ours(product: Product, keys: dict[str, list[Key]], first: bool) -> list[Method]:
    """Every form of a concept and, by phrase, every view.

    Args:
        product: The index.
        keys: What `keys_of` made.
        first: Whether this is the first autoencoder, which is measured at every strength and in every view.
    """
    search, phrase = product.search, keys["phrase"]
    found = []
    for form, each in keys.items():
        at = {f"{strength:g}": search(each, strength) for strength in STRENGTHS}
        curve = form in CURVES
        settings = at if first and curve else {DEFAULT: at[DEFAULT]}
        shown = {name: at[name] for name in AROUND} if curve else {}
        if form == "phrase":
            shown[f"{AWAY:g}"] = search(each, AWAY)
        found.append(Method(f"ours, {form}", settings, DEFAULT, shown, collateral=True))
    for view in VIEWS if first else ():
        found.append(Method(f"no steering, {view} view", {"0": search(view=view)}, "0"))
        found.append(Method(f"ours, phrase, {view} view", {"1": search(phrase, view=view)}, DEFAULT))
    return found


def words_alone(product: Product, phrase: list[Key]) -> list[Method]:
    """What the words of the query are worth: ours without them, and rivals with them, in the hybrid view."""
    moved = {f"{force:g}": partial(product.moved, force=force) for force in FORCES[-4:]}
    old = {
        f"{strength}": product.search(phrase, strength, blend="move", view="hybrid") for strength in (0.5, 1.0, "auto")
    }
    return [
        # A vector brings no words.
        Method("ours, phrase, without the query's words", {"1": product.search(phrase, text=None)}, DEFAULT),
        Method(HYBRIDS[0], {"1": product.appended}, DEFAULT),
        Method(HYBRIDS[1], moved, f"{FORCE:g}"),
        Method(HYBRIDS[2], old, "auto"),
    ]


def candidates(product: Product, keys: dict[str, list[Key]]) -> dict[str, float]:
    """Form of a concept -> recall@10 of the candidates that are ranked: how many of the best of all are among them."""
    bench = product.bench
    pairs = bench.asked(~bench.dev)
    found = {}
    depth = terms.DEPTH
    for form in (form for form in CURVES[:2] if form in keys):
        search = product.search(keys[form])
        ranked = search(pairs)
        try:
            terms.DEPTH = len(bench.searched)
            found[form] = round(overlap(search(pairs), ranked), 4)
        finally:
            terms.DEPTH = depth
    return found


def moving(product: Product, keys: dict[str, list[Key]]) -> list[Method]:
    """The old way: untuned by `blend="move"` and `"auto"`, and for its best case at every angle."""
    found = []
    for form in (form for form in CURVES if form in keys):
        settings = angles(product.bench, partial(_rows_of, product.directions(keys[form])))
        shown = {"auto": product.search(keys[form], "auto", blend="move")}
        found.append(Method(f"ours, the query moves, {form}", settings, "auto", shown, collateral=form == "phrase"))
    paper = product.search(keys["phrase"], blend="move", view="reconstruction")
    found.append(Method("ours, the paper's way, phrase", {"1": paper}, "1"))
    return found


def _rows_of(rows: FloatArray, pairs: Pairs) -> FloatArray:
    return rows[pairs.attribute]
