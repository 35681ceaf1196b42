"""Other labels than the automatic ones, chosen on the documents that labels are made from, scored on those held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ...metrics import FloatArray, unit_rows
from ..bundle import Bundle
from .detection import score
from .entries import Entry
from .pipeline import Interpreted, coverage


def as_candidates_see_them(found: Interpreted) -> Iterable[Entry]:
    """The entries with the AUC of their labels on the documents that labels are made from.

    Whoever proposes several labels and keeps the best must choose there: the best of many on the held-out documents
    would look better than it is.
    """
    for entry, label, pair in zip(found.interpretation.entries, found.labels, found.trials, strict=True):
        known = None
        if label is not None and pair is not None and len(pair.seen.positives):
            known = score(pair.along(found.reading.centred, label.direction), pair.seen, pair.held_out)
        yield replace(entry, score=known)


def score_candidate(bundle: Bundle, found: Interpreted, latent: int, text: str) -> float | None:
    """AUC of a text as label on the documents that labels are made from; None where it fires on none of them."""
    pair = found.trials[latent]
    if pair is None or not len(pair.seen.positives):
        return None
    return score(pair.along(found.reading.centred, direction_of(bundle, found, text)), pair.seen, pair.held_out).auc


def direction_of(bundle: Bundle, found: Interpreted, text: str) -> FloatArray:
    """What a label stands for, shape (d_in,): the sum of its parts between commas, as with automatic labels."""
    parts = [part.strip() for part in text.split(",") if part.strip()] or [text]
    total: FloatArray = unit_rows(bundle.embed(parts) - found.phrases.mean).sum(0)
    return total


def with_labels(bundle: Bundle, found: Interpreted, labels: Mapping[int, str], source: str) -> Interpreted:
    """The interpretation with other labels for some latents, scored on the held-out documents.

    Args:
        bundle: Embeds.
        found: What `interpret` gave.
        labels: Latent -> its new label.
        source: Who made them.
    """
    entries = list(found.interpretation.entries)
    for latent, text in labels.items():
        pair = found.trials[latent]
        measured = None
        if pair is not None:
            predicted = pair.along(found.reading.centred, direction_of(bundle, found, text))
            measured = score(predicted, pair.held_out, pair.seen)
        entries[latent] = replace(entries[latent], label=text, phrases=(text,), source=source, score=measured)
    changed = replace(found.interpretation, entries=tuple(entries), covered=coverage(entries, found.reading))
    return replace(found, interpretation=changed)
