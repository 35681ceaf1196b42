"""`label_with_model`: a chat model proposes labels for features, and held-out documents choose among them.

::

    outcome = label_with_model("openai:gpt-5-mini", interpretation.entries, score, cache=Path("labels.jsonl"))
    for latent, candidate in outcome.labels.items():
        print(latent, candidate.text, candidate.score)

Every answer is written to the cache file at once, so a run that ended in any way resumes where it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from ...background import in_thread
from ...errors import ConfigError, SteersearchError
from ...runtime.bundle.interpretation import Entry
from .cache import LabelCache, cache_key
from .client import (
    WRONG_SETTING,
    CallBudget,
    LabelClient,
    NoLabelsError,
    http_status,
    model_name,
    open_model,
    shortened,
)
from .prompt import make_prompt

ScoreLabel = Callable[[int, str], float | None]
"""(latent, label) -> AUC of the label, 0 to 1; None when there are too few documents to tell."""

FAILURES = 5
"""Features in a row without a usable answer after which a run ends: the model or its server is at fault."""
TOGETHER = 128
"""Features whose labels are scored together."""
CHANCE = 0.5
"""Held-out AUC that a label must beat where there was none before."""


@dataclass(frozen=True)
class Candidate:
    """A label that a model proposed."""

    text: str
    score: float
    """Its held-out AUC, 0 to 1."""


@dataclass(frozen=True)
class Labelling:
    """The outcome of a run."""

    labels: dict[int, Candidate]
    """Latent -> its new label, only where that scores better than the one it had."""
    skipped: dict[int, str]
    """Latent -> why it has no answer. The next run tries again."""
    calls: int
    """Calls made, failed ones too."""
    cached: int
    """Features whose answer was in the cache."""
    input_tokens: int
    """As the model counted them, else one per 4 characters; calls that timed out count as well."""
    output_tokens: int
    stopped: str | None
    """Which cap ended it early; None when it is complete."""
    model: str
    """Name of the model."""


def label_with_model(
    model: BaseChatModel | str,
    entries: Iterable[Entry],
    score: ScoreLabel,
    *,
    candidates: int = 3,
    cache: Path,
    max_calls: int | None = None,
    max_tokens: int | None = None,
    timeout: float = 60.0,
    concurrency: int = 4,
    on_progress: Callable[[int, int], None] | None = None,
    prepare: Callable[[list[str]], None] | None = None,
    can_score: Callable[[int], bool] | None = None,
) -> Labelling:
    """Let a chat model propose labels for features, and keep those that say better where the features fire.

    Passages of the documents are sent to the model's provider.

    Args:
        model: A LangChain chat model, or `provider:name`, which takes the package `langchain` and the provider's.
        entries: The interpretations of the features to label. Their scores are what a new label has to beat.
        score: Scores a label, in this thread only. It chooses among candidates, so it should not be what is reported
            afterwards.
        candidates: Labels to propose per feature.
        cache: JSON-lines file of the answers; made when missing.
        max_calls: Calls at most, second tries included; None = no cap.
        max_tokens: Input and output tokens at most; None = no cap. Before a call its cost is taken to be the largest
            so far: only calls that cost more than any before them can exceed the cap.
        timeout: Seconds for one call, with the client's own retries.
        concurrency: Calls at a time.
        on_progress: Called with (features done, features) after each.
        prepare: Called with labels before these are scored, so that all can be embedded together.
        can_score: Whether there are documents to score a latent's labels on. By default a text is scored to see.

    Raises:
        MissingExtraError: A package is not installed.
        ConfigError: A setting is outside its range, or the provider does not know the model or the key.
        StorageError: The cache cannot be read or written.
        SteersearchError: `FAILURES` features in a row got no usable answer. What was answered before is in the cache.
    """
    for setting, value in {"candidates": candidates, "timeout": timeout, "concurrency": concurrency}.items():
        if not value > 0:
            raise ConfigError(f"{setting} is {value}, expected more than 0")
    entries = list(entries)
    chat = open_model(model) if isinstance(model, str) else model
    name = model if isinstance(model, str) else model_name(model)
    client = LabelClient(chat, CallBudget(max_calls, max_tokens), timeout)
    can_score = can_score or _by_trying(score, entries)
    run = _Run(name, client, LabelCache(cache), score, candidates, prepare, can_score)
    try:
        left = run.label(entries, concurrency, on_progress or (lambda done, total: None))
    except Exception:
        client.stop.set()
        # Calls under way are paid for: their answers go to the cache.
        wait(run.pending)
        raise
    finally:
        client.stop.set()
    budget = client.budget
    stopped = f"the cap of {budget.reached} is reached, {left} features are left: run again to go on"
    return Labelling(
        labels=choose(entries, run.proposals),
        skipped={entry.latent: run.skipped[entry.latent] for entry in entries if entry.latent in run.skipped},
        calls=budget.calls,
        cached=run.cached,
        input_tokens=budget.input_tokens,
        output_tokens=budget.output_tokens,
        stopped=stopped if left else None,
        model=name,
    )


class _Run:
    """The state of one `label_with_model`."""

    def __init__(
        self,
        model: str,
        client: LabelClient,
        cache: LabelCache,
        score: ScoreLabel,
        count: int,
        prepare: Callable[[list[str]], None] | None,
        can_score: Callable[[int], bool],
    ) -> None:
        self._model, self._client, self._cache, self._score, self._count = model, client, cache, score, count
        self._prepare, self._can_score = prepare, can_score
        self._unscored: list[tuple[int, tuple[str, ...]]] = []
        """Latents and their labels that are not scored yet."""
        self.pending: dict[Future[tuple[str, ...]], Entry] = {}
        """Calls under way, in the order of their features."""
        self.proposals: dict[int, list[Candidate]] = {}
        self.skipped: dict[int, str] = {}
        self.cached = 0
        self._failures = 0

    def label(self, entries: Sequence[Entry], concurrency: int, on_progress: Callable[[int, int], None]) -> int:
        """Get labels of all features and score them; return how many features a cap left out."""
        left = 0
        for entry in entries:
            if not entry.top or (entry.score is None and not self._can_score(entry.latent)):
                self.skipped[entry.latent] = "it fires on no document that labels are chosen on"
            else:
                left += not self._start(entry, capped=left > 0)
            while len(self.pending) >= concurrency:
                self._collect()
            on_progress(self._done(), len(entries))
        while self.pending:
            self._collect()
            on_progress(self._done(), len(entries))
        self._score_all()
        return left

    def _done(self) -> int:
        return len(self.proposals) + len(self._unscored) + len(self.skipped)

    def _start(self, entry: Entry, *, capped: bool) -> bool:
        """Look the answer up, or start a call for it; return False when a cap forbids it."""
        prompt = make_prompt(entry, self._count)
        key = cache_key(self._model, prompt)
        known = self._cache.get(key)
        if known is not None:
            self.cached += 1
            self._propose(entry, known)
            return True
        # Reserved here, in the order of the features, so that a cap leaves out the same ones however threads run.
        while not (reserved := not capped and self._client.reserve(prompt)) and self.pending:
            # A call under way may cost less than is reserved for it.
            self._collect()
        if reserved:
            self.pending[in_thread(self._call, entry.latent, key, prompt)] = entry
        return reserved

    def _call(self, latent: int, key: str, prompt: str) -> tuple[str, ...]:
        labels = self._client.labels_for(prompt, self._count)
        self._cache.add(key, self._model, latent, labels)
        return labels

    def _collect(self) -> None:
        """Wait for at least one call, and score the labels of all that are done."""
        done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
        for future in [future for future in self.pending if future in done]:
            entry = self.pending.pop(future)
            try:
                labels = future.result()
            except SteersearchError:
                raise
            except Exception as error:
                self._skip(entry, error)
            else:
                self._propose(entry, labels)
                self._failures = 0

    def _propose(self, entry: Entry, labels: Iterable[str]) -> None:
        self._unscored.append((entry.latent, tuple(labels)))
        if len(self._unscored) >= TOGETHER:
            self._score_all()

    def _score_all(self) -> None:
        if self._prepare is not None and self._unscored:
            self._prepare([label for _, labels in self._unscored for label in labels])
        for latent, labels in self._unscored:
            scores = [(label, self._score(latent, label)) for label in labels]
            self.proposals[latent] = [
                Candidate(label, value) for label, value in scores if value is not None and math.isfinite(value)
            ]
        self._unscored.clear()

    def _skip(self, entry: Entry, error: Exception) -> None:
        why = str(error) if isinstance(error, NoLabelsError) else f"{type(error).__name__}: {shortened(error)}"
        if http_status(error) in WRONG_SETTING:
            raise ConfigError(
                f"the chat model {self._model!r} cannot be used: {why}; check its name and the provider's key"
            ) from error
        self.skipped[entry.latent] = why
        self._failures += 1
        if self._failures >= FAILURES:
            raise SteersearchError(
                f"the chat model {self._model!r} gave no usable answer for {FAILURES} features in a row, at last "
                f"{why}; what it answered before is in the cache, run again to go on"
            ) from error


def _by_trying(score: ScoreLabel, entries: Iterable[Entry]) -> Callable[[int], bool]:
    text_of = {entry.latent: entry.top[0].text for entry in entries if entry.top}
    return lambda latent: score(latent, text_of[latent]) is not None


def choose(entries: Iterable[Entry], proposals: Mapping[int, Sequence[Candidate]]) -> dict[int, Candidate]:
    """Return the best candidate of each feature that beats its label. A label goes to the one with the best score."""
    entries = list(entries)
    taken = {entry.label.casefold() for entry in entries if entry.label}
    before = {entry.latent: entry.score.auc if entry.label and entry.score else CHANCE for entry in entries}
    ranked = sorted(
        (-candidate.score, latent, rank, candidate)
        for latent, candidates in proposals.items()
        for rank, candidate in enumerate(candidates)
        if candidate.score > before[latent]
    )
    labels: dict[int, Candidate] = {}
    for _, latent, _, candidate in ranked:
        if latent not in labels and candidate.text.casefold() not in taken:
            labels[latent] = candidate
            taken.add(candidate.text.casefold())
    return {latent: labels[latent] for latent in before if latent in labels}
