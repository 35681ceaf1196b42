"""The interpretation of each latent: plain records, and their JSON form in a bundle."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ...errors import BundleError
from ...typed_records import check_record
from .feature_tree import FeatureGroup, Tree, group_from_json, group_to_json, walk
from .reading import MALFORMED, check_version, json_lines

FORMAT_VERSION = 2
"""2 added the description of a feature, what it does when it is boosted, and the tree of features; 1 is read."""

LONGEST = 2**22
"""Bytes of a latent's line; 10,000 are usual."""
QUANTILES = 5
BYTES_PER_LATENT = 256
"""Of the first line, which has each latent's position and family."""
STEERS = {False: 0.95, True: 0.85}
"""Score from which on a boost brings what the label says, where one of the two kinds of evidence was measured, and
where both were. Of features that do what another one does 5 % reach it: one kind is uniform between 0 and 1 then, and
the mean of two is above .85 in 4.5 % of cases."""
UNCLEAR = 0.65
"""Below this held-out AUC a label is not shown as a name: the feature is called unclear."""
SAID = 0.45
"""An automatic name of whose words the strongest documents have less is unclear, however high its AUC: of 28 such names
on two corpora readers accepted five, and of 120 with more of them 94."""
CHANCE = 0.05
"""A feature whose AUC has a p-value above this is unclear too, which matters where it fires on few documents: one
held-out document has to be first or second among 41, three need an AUC of .80, ten need .67."""


@dataclass(frozen=True)
class Score:
    """The quality of a label, or another predictor, of where a feature fires, on held-out documents."""

    auc: float
    """Probability that a document on which it fires is ranked above one on which it does not; 0.5 is chance. Half of
    the negatives are near misses, half are random."""
    auc_near: float
    """Against near misses only."""
    auc_random: float
    """Against random documents only."""
    p_value: float
    """Probability that a meaningless label has this AUC or a better one."""
    precision: float
    """With positives and negatives weighted equally, at the threshold with the best F1 on the training documents."""
    recall: float
    """At the same threshold."""
    positives: int
    """Held-out documents on which it fires."""
    said: float | None = None
    """How much of the words of the name the ten strongest held-out documents have, 0 to 1; None where it was not asked,
    as for a name that a language model or a person gave."""


@dataclass(frozen=True)
class SteeringScore:
    """What boosting a feature does to neutral queries, on held-out documents: whether it steers, beside being read."""

    score: float
    """Probability that a boost brings more documents that have what the label says than a boost of a random other
    feature does: the mean of the next two, as far as they were measured. 0.5 is chance."""
    words: float | None = None
    """The same, where a document has it if it has the words of the label; None if all documents have them, or none."""
    predicted: float | None = None
    """The same, where it has it if `Neuron2Graph` predicts from its words that the feature fires."""
    plain: float = 0.0
    """Share of the first ten that have either, without a boost."""
    boosted: float = 0.0
    """With a boost of the feature at strength 1."""
    random: float = 0.0
    """With a boost of other features."""
    text: float = 0.0
    """With the label's embedding added to the query's."""
    before: float | None = None
    """Of the ten nearest to documents on which it is strongest; None if it fires on no held-out document."""
    after: float | None = None
    """The same with the feature clamped to 0."""
    after_other: float | None = None
    """The same with another feature clamped to 0, one that was as active."""
    queries: int = 0
    """Neutral queries that it was boosted on."""

    @property
    def holds(self) -> bool:
        """Whether it steers: a boost brings what the label says, see `STEERS`, and a clamp takes some of it out.

        Where nothing that it expresses was found, there is nothing to take out.
        """
        brings = self.score >= STEERS[self.words is not None and self.predicted is not None]
        return brings and not (self.before and self.after is not None and self.after >= self.before)


@dataclass(frozen=True)
class Passage:
    """A piece of a document, and the parts of it that matter to a latent."""

    document: str
    """Its id."""
    text: str
    """A sentence, or the beginning of the document."""
    activation: float
    """Of the whole document, in units of the latent's typical activation; 0 where the latent is not active."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Characters of `text` that matter, (start, stop, saliency), in order, without overlap. The saliency, 0 to 1, is
    their share of what sets the text apart in the latent, or of the activation that is lost without them where the
    embedder does not tell what each word adds. Empty where it was not measured."""
    minimal: tuple[int, int] | None = None
    """Characters of the shortest span that alone keeps at least half of the passage's activation."""


@dataclass(frozen=True)
class Pattern:
    """Tokens that together make a latent fire: a path through its trie."""

    tokens: tuple[tuple[str, ...], ...]
    """The words for each place: the one in the text, then its substitutes. The most salient place comes first."""
    weight: float
    """Activation of the tokens alone, in units of the latent's typical activation."""
    support: int
    """Passages in which it was found."""

    def __str__(self) -> str:
        return " + ".join("|".join(words[:3]) for words in self.tokens)


@dataclass(frozen=True)
class Entry:
    """The interpretation of one latent."""

    latent: int
    phrases: tuple[str, ...] = ()
    """Phrases of the automatic label, in their order; empty without a label."""
    label: str | None = None
    """Unique within the bundle; None when the latent never fires or no text was found."""
    description: str = ""
    """One line: what it fires on, and what it does not."""
    source: str = "phrases"
    """Origin of the label: ``phrases``, or the name of a language model."""
    score: Score | None = None
    """How well the label predicts firing; None when the latent fires on no held-out document."""
    pattern_score: Score | None = None
    """The same for `Neuron2Graph`."""
    steers: SteeringScore | None = None
    """What boosting it does; None where that was not measured."""
    fires: int = 0
    """Documents on which it fires: its activation is at least a quarter of the typical one."""
    active: int = 0
    """Documents on which it is active."""
    quantiles: tuple[float, ...] = (0.0,) * QUANTILES
    """Of the activation where it is active: 50, 75, 90, 95, 100 %."""
    top: tuple[Passage, ...] = ()
    """From its strongest documents: sentences of typical ones with the words that matter, the most typical first, then
    the beginnings of others, strongest first."""
    near_misses: tuple[Passage, ...] = ()
    """From the nearest documents on which it is not active."""
    queries: tuple[tuple[str, float], ...] = ()
    """Queries on which it is strongest, with the activation in typical units."""
    companions: tuple[tuple[int, float], ...] = ()
    """Latents that fire with it, and how many times more often than by chance."""
    similar: tuple[tuple[int, float], ...] = ()
    """Latents with the nearest atoms, and the cosines."""
    patterns: tuple[Pattern, ...] = ()
    """Neuron-to-Graph: words that make it fire, most supported first."""

    @property
    def name(self) -> str:
        """The key that always works, for example `f412`."""
        return f"f{self.latent}"

    @property
    def unclear(self) -> bool:
        """Whether its label is missing, not tested, or not clearly better than chance."""
        if self.label is None or self.score is None or self.score.auc < UNCLEAR or self.score.p_value > CHANCE:
            return True
        return self.score.said is not None and self.score.said < SAID

    @property
    def title(self) -> str:
        """The label, or `unclear`."""
        return "unclear" if self.unclear or self.label is None else self.label


@dataclass(frozen=True)
class Interpretation:
    """The interpretation of every latent of a bundle on one corpus."""

    corpus: str
    """Name of the corpus: its file or folder name."""
    documents: int
    covered: tuple[float, float, float]
    """Shares of the documents on which at least 1, 3 and 10 features with a clear label fire."""
    families: tuple[tuple[int, ...], ...]
    """Groups of at least two similar latents, largest first; a latent is in at most one."""
    positions: tuple[tuple[float, float], ...]
    """Position of every latent on the map, 0 to 1: latents that fire on similar documents are near each other."""
    entries: tuple[Entry, ...]
    """One per latent, in the order of their ids."""
    settings: dict[str, float | int | str] = field(default_factory=dict)
    tree: tuple[FeatureGroup, ...] = ()
    """Branches, with families in them, of every feature that fires; empty where it was not made."""


def read_interpretation_file(path: Path, n_latents: int) -> Interpretation:
    """Read the file of an interpretation.

    Raises:
        BundleError: It cannot be read, or does not describe `n_latents` latents.
        FormatVersionError: It was written by a newer steersearch.
    """
    cure = "interpret the bundle again with: sae features label"
    try:
        lines = json_lines(path, first=LONGEST + BYTES_PER_LATENT * n_latents, longest=LONGEST, most=n_latents + 1)
        head = next(lines)
        check_version(path, head.pop("format_version"), FORMAT_VERSION)
        entries = tuple(entry_from_json(line) for line in lines)
        for name in ("covered", "families", "positions"):
            head[name] = tuple(tuple(each) if isinstance(each, list) else each for each in head[name])
        tree = tuple(map(group_from_json, head.pop("tree", ())))
        interpretation = Interpretation(**head, entries=entries, tree=tree)
        _check_latents(interpretation, n_latents)
    except MALFORMED as error:
        raise BundleError(f"{path} cannot be read ({type(error).__name__}: {error}): {cure}") from error
    if [entry.latent for entry in entries] != list(range(n_latents)):
        raise BundleError(f"{path} describes {len(entries)} latents, the bundle has {n_latents}: {cure}")
    return interpretation


def interpretation_bytes(interpretation: Interpretation) -> bytes:
    """Return JSON lines, compressed without a date: one about all latents, then one per latent."""
    head = {name: value for name, value in vars(interpretation).items() if name not in ("entries", "tree")}
    head |= {"tree": [group_to_json(group) for group in interpretation.tree]} if interpretation.tree else {}
    lines: Iterable[Any] = ({"format_version": FORMAT_VERSION} | head, *map(entry_to_json, interpretation.entries))
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    return gzip.compress(text.encode("utf-8", "replace"), mtime=0)


def without_passages(interpretation: Interpretation) -> Interpretation:
    """Return an interpretation without the texts of documents and queries: labels, scores and words stay."""
    entries = tuple(replace(entry, top=(), near_misses=(), queries=()) for entry in interpretation.entries)
    return replace(interpretation, entries=entries)


def _check_latents(interpretation: Interpretation, n_latents: int) -> None:
    """Check the types, and what is looked up by number: latents, quantiles, and a position for each latent or for none.

    Raises:
        TypeError, ValueError: They do not fit.
    """
    for entry in interpretation.entries:
        check_record(entry)
        if len(entry.quantiles) != QUANTILES:
            raise ValueError(f"latent {entry.latent} has {len(entry.quantiles)} quantiles")
    # Those that were just checked need not be.
    check_record(replace(interpretation, entries=()))
    pairs = [pair for entry in interpretation.entries for pair in (*entry.companions, *entry.similar)]
    latents = [latent for latent, _ in pairs] + [latent for family in interpretation.families for latent in family]
    latents += (inside := _in_tree(interpretation.tree))
    for latent in latents:
        if not 0 <= latent < n_latents:
            raise ValueError(f"latent {latent}")
    if len(set(inside)) < len(inside):
        raise ValueError("a latent is in two families")
    if len(interpretation.positions) not in (0, n_latents):
        raise ValueError(f"{len(interpretation.positions)} positions")


def _in_tree(tree: Tree) -> list[int]:
    return [latent for _, group in walk(tree) for latent in group.latents]


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain values, without the fields that have their default."""
    plain: dict[str, Any] = {"latent": entry.latent}
    for each in fields(Entry):
        value = getattr(entry, each.name)
        if each.name == "latent" or value == each.default:
            continue
        if isinstance(value, Score | SteeringScore):
            value = _plain(value)
        elif isinstance(value, tuple):
            value = [_plain(item) if isinstance(item, Passage | Pattern) else item for item in value]
        plain[each.name] = value
    return plain


def _plain(record: Score | SteeringScore | Passage | Pattern) -> dict[str, Any]:
    return {each.name: _rounded(getattr(record, each.name)) for each in fields(record)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return [_rounded(item) for item in value] if isinstance(value, tuple) else value


def entry_from_json(plain: dict[str, Any]) -> Entry:
    """Make an entry of the plain values of `entry_to_json`.

    Raises:
        KeyError, TypeError, ValueError: They are not those of an entry.
    """
    values: dict[str, Any] = {name: _tuples(value) for name, value in plain.items()}
    for name in ("score", "pattern_score"):
        if name in values:
            values[name] = Score(**plain[name])
    if "steers" in values:
        values["steers"] = SteeringScore(**plain["steers"])
    for name, kind in (("top", Passage), ("near_misses", Passage), ("patterns", Pattern)):
        values[name] = tuple(kind(**{k: _tuples(v) for k, v in item.items()}) for item in plain.get(name, ()))
    return Entry(**values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
