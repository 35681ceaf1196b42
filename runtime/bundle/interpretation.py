"""What was found out about each latent: plain records, as they are kept in a bundle and shown to people."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

pass

UNCLEAR = 0.65
"""Below this held-out AUC a label is not shown as a name: such a feature is called unclear."""
CHANCE = 0.05
"""So is one whose AUC a label that says nothing would reach more often than this, because it fires on so few documents:
one held-out document has to be first or second among 41, three need .80, ten .67."""


@dataclass(frozen=True)
class Score:
    """How well something predicts where a feature fires, on held-out documents."""

    auc: float
    """Chance that a document on which it fires is put above one on which it does not. Half of the negatives are near
    misses, half are random; 0.5 is chance."""
    auc_near: float
    """Against near misses only."""
    auc_random: float
    """Against random documents only."""
    p_value: float
    """Chance that a label which says nothing has this AUC or a better one."""
    precision: float
    """Among equally many positives and negatives, at the threshold with the best F1 on the other documents."""
    recall: float
    positives: int
    """Held-out documents on which it fires."""


@dataclass(frozen=True)
class Passage:
    """A piece of a document, and what in it matters to a latent."""

    document: str
    """Id of the document that it stands in."""
    text: str
    """A sentence, or the beginning of the document."""
    activation: float
    """Of the whole document, in units of the latent's typical activation; 0 where the latent is not active."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Characters of `text` that matter, (start, stop, saliency): the share of the activation that is lost without
    them, 0 to 1. In order, without overlap. Empty where nothing was measured."""
    minimal: tuple[int, int] | None = None
    """Characters of the shortest span that alone keeps at least half of the passage's activation."""


@dataclass(frozen=True)
class Pattern:
    """Tokens that together make a latent fire: a path through its trie."""

    tokens: tuple[tuple[str, ...], ...]
    """Per place the words that fit there: those that were found, then their substitutes. The place that matters most
    comes first."""
    weight: float
    """Activation of the tokens alone, in units of the latent's typical activation."""
    support: int
    """Passages it was found in."""

    def __str__(self) -> str:
        return " + ".join("|".join(words[:3]) for words in self.tokens)


@dataclass(frozen=True)
class Entry:
    """All that is known about one latent."""

    latent: int
    phrases: tuple[str, ...] = ()
    """What the automatic label is made of, most telling first; empty without a label."""
    label: str | None = None
    """Unique within the bundle; None when the latent never fires or no text was found."""
    source: str = "phrases"
    """Where the label comes from: ``phrases``, or the name of a language model."""
    score: Score | None = None
    """How well the label predicts firing on held-out documents; None when it fires on none of them."""
    pattern_score: Score | None = None
    """The same for `Neuron2Graph`."""
    fires: int = 0
    """Documents on which it fires: its activation is at least a quarter of what is typical."""
    active: int = 0
    """Documents on which it is active at all."""
    quantiles: tuple[float, ...] = (0.0,) * 5
    """Of the activation where it is active: 50, 75, 90, 95, 100 %."""
    top: tuple[Passage, ...] = ()
    """From its strongest documents, strongest first."""
    near_misses: tuple[Passage, ...] = ()
    """From the nearest documents on which it is not active."""
    queries: tuple[tuple[str, float], ...] = ()
    """Queries on which it is strongest, with the activation in typical units, where queries were given."""
    companions: tuple[tuple[int, float], ...] = ()
    """Latents that fire with it, and how many times more often than by chance."""
    similar: tuple[tuple[int, float], ...] = ()
    """Latents with the nearest atoms, and the cosines."""
    patterns: tuple[Pattern, ...] = ()
    """Neuron-to-Graph: what in a text makes it fire, most supported first."""

    @property
    def name(self) -> str:
        """`f412`, the key that always works."""
        return f"f{self.latent}"

    @property
    def unclear(self) -> bool:
        """Whether nothing is known that deserves to be its name."""
        return self.label is None or self.score is None or self.score.auc < UNCLEAR or self.score.p_value > CHANCE

    @property
    def title(self) -> str:
        """What people see: the label, or `unclear`."""
        return "unclear" if self.unclear or self.label is None else self.label


@dataclass(frozen=True)
class Interpretation:
    """Every latent of a bundle as it shows on one corpus."""

    corpus: str
    """What people call the corpus: its file or folder name."""
    documents: int
    """Documents read."""
    covered: tuple[float, float, float]
    """Shares of the documents on which at least 1, 3 and 10 features with a clear label fire."""
    families: tuple[tuple[int, ...], ...]
    """Groups of at least two latents that belong together, largest first; a latent is in one at most."""
    positions: tuple[tuple[float, float], ...]
    """A place on the map for every latent, 0 to 1: near where their atoms are near."""
    entries: tuple[Entry, ...]
    """One per latent, in the order of their ids."""
    settings: dict[str, float | int | str] = field(default_factory=dict)
    """How it was made."""


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Plain values; what is empty is left out."""
    found: dict[str, Any] = {"latent": entry.latent}
    for each in fields(Entry):
        value = getattr(entry, each.name)
        if each.name == "latent" or value == each.default:
            continue
        if isinstance(value, Score):
            value = _plain(value)
        elif isinstance(value, tuple):
            value = [_plain(item) if isinstance(item, Passage | Pattern) else item for item in value]
        found[each.name] = value
    return found


def _plain(record: Score | Passage | Pattern) -> dict[str, Any]:
    return {each.name: _rounded(getattr(record, each.name)) for each in fields(record)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return [_rounded(item) for item in value] if isinstance(value, tuple) else value


def entry_from_json(found: dict[str, Any]) -> Entry:
    """Read what `entry_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: It is not such a record.
    """
    values: dict[str, Any] = {name: _tuples(value) for name, value in found.items()}
    for name in ("score", "pattern_score"):
        if name in values:
            values[name] = Score(**found[name])
    for name in ("top", "near_misses"):
        values[name] = tuple(Passage(**{k: _tuples(v) for k, v in raw.items()}) for raw in found.get(name, ()))
    values["patterns"] = tuple(Pattern(**{k: _tuples(v) for k, v in raw.items()}) for raw in found.get("patterns", ()))
    return Entry(**values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
