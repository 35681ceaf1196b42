"""Labels by a language model (extra ``langchain``): it proposes several per feature, held-out documents choose.

::

    outcome = label_with_model("openai:gpt-5-mini", interpretation.entries, score, cache=Path("labels.jsonl"))
    for latent, candidate in outcome.labels.items():
        print(latent, candidate.text, candidate.score)

Every answer is in the cache file before the next question: a run that was ended, in whatever way, goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from ...extras import require

require("langchain", "langchain_core")

from langchain_core.language_models import BaseChatModel  # noqa: E402

from ...errors import ConfigError, SteersearchError  # noqa: E402
from ...runtime.bundle.interpretation import Entry  # noqa: E402
from .client import (  # noqa: E402  # noqa: E402  # noqa: E402
    WRONG_SETTING,
    Answers,
    Asker,
    Cap,
    NoLabelsError,
    cache_key,
    http_status,
    in_thread,
    model_name,
    open_model,
    shortened,
)
from .prompt import make_prompt  # noqa: E402

ScoreLabel = Callable[[int, str], float | None]

FAILURES = 5
"""This many features in a row without a usable answer: it is not the features."""
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
    """What came of a run."""

    labels: dict[int, Candidate]
    """Latent -> its new label, only where that scores better than the one it had."""
    skipped: dict[int, str]
    """Latent -> why it has no answer. The next run asks again."""
    calls: int
    """Calls made, failed ones too."""
    cached: int
    """Features whose answer was in the cache."""
    input_tokens: int
    """As the model counted them, else one per 4 characters; calls that were given up count as well."""
    output_tokens: int
    stopped: str | None
    """Which cap ended it early; None when it came to the end."""
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
) -> Labelling:
    """Ask a language model what each feature stands for, and keep the label that says best where it fires.

    Passages of the documents are sent to the model's provider.

    Args:
        model: A LangChain chat model, or `provider:name`, which takes the package `langchain` and the provider's.
        entries: What is known of the features to label. Their scores are what a new label has to beat.
        score: (latent, label) -> AUC of the label, 0 to 1; None when there are too few documents to tell. Called in
            this thread only. It chooses among candidates, so it should not be what is reported afterwards.
        candidates: Labels to ask for, per feature.
        cache: JSON-lines file of the answers; made when missing.
        max_calls: Calls at most, second tries included; None = no cap.
        max_tokens: Input and output tokens at most; None = no cap. Before a call its cost is taken to be the largest
            so far: only calls that cost more than any before them can exceed the cap.
        timeout: Seconds for one call, the client's own retries included.
        concurrency: Calls at a time.
        on_progress: Called with (features done, features) after each.

    Raises:
        MissingExtraError: A package is not installed.
        ConfigError: A setting is outside its range, or the provider does not know the model or the key.
        StorageError: The cache cannot be read or written.
        SteersearchError: `FAILURES` features in a row got no usable answer. What was answered before is in the cache.
    """
    _check(candidates=candidates, timeout=timeout, concurrency=concurrency)
    entries = list(entries)
    chat = open_model(model) if isinstance(model, str) else model
    name = model if isinstance(model, str) else model_name(model)
    run = _Run(name, Asker(chat, Cap(max_calls, max_tokens), timeout), Answers(cache), score, candidates)
    try:
        left = run.go_through(entries, concurrency, on_progress or (lambda done, total: None))
    except Exception:
        run.asker.stop.set()
        wait(run.pending)  # what is under way is paid for: it goes to the cache
        raise
    finally:
        run.asker.stop.set()
    cap = run.asker.cap
    return Labelling(
        labels=choose(entries, run.proposals),
        skipped={entry.latent: run.skipped[entry.latent] for entry in entries if entry.latent in run.skipped},
        calls=cap.calls,
        cached=run.cached,
        input_tokens=cap.input_tokens,
        output_tokens=cap.output_tokens,
        stopped=f"the cap of {cap.reached} is reached, {left} features are left: run again to go on" if left else None,
        model=name,
    )


class _Run:
    """The state of one `label_with_model`."""

    def __init__(self, model: str, asker: Asker, answers: Answers, score: ScoreLabel, count: int) -> None:
        self._model, self.asker, self._answers, self._score, self._count = model, asker, answers, score, count
        self.pending: dict[Future[tuple[str, ...]], Entry] = {}  # in the order they were asked
        self.proposals: dict[int, list[Candidate]] = {}
        self.skipped: dict[int, str] = {}
        self.cached = 0
        self._failures = 0

    def go_through(self, entries: Sequence[Entry], concurrency: int, on_progress: Callable[[int, int], None]) -> int:
        """Ask, or look up, and score. Returns how many features a cap left out."""
        left = 0
        for entry in entries:
            if not entry.top or (entry.score is None and self._score(entry.latent, entry.top[0].text) is None):
                self.skipped[entry.latent] = "it fires on no document that labels are chosen on"
            else:
                left += not self._begin(entry, capped=left > 0)
            while len(self.pending) >= concurrency:
                self._collect()
            on_progress(len(self.proposals) + len(self.skipped), len(entries))
        while self.pending:
            self._collect()
            on_progress(len(self.proposals) + len(self.skipped), len(entries))
        return left

    def _begin(self, entry: Entry, *, capped: bool) -> bool:
        """Look the answer up or ask for it; False when a cap forbids."""
        prompt = make_prompt(entry, self._count)
        key = cache_key(self._model, prompt)
        known = self._answers.get(key)
        if known is not None:
            self.cached += 1
            self._judge(entry, known)
            return True
        # Taken here, in the order of the features, so that the same ones are asked however the threads run.
        while not (taken := not capped and self.asker.cap.take(prompt)) and self.pending:
            self._collect()  # a call under way may cost less than was set aside for it
        if taken:
            self.pending[in_thread(self._ask, entry.latent, key, prompt)] = entry
        return taken

    def _ask(self, latent: int, key: str, prompt: str) -> tuple[str, ...]:
        labels = self.asker.ask(prompt, self._count)
        self._answers.add(key, self._model, latent, labels)
        return labels

    def _collect(self) -> None:
        """Wait for at least one answer and take in all that are there."""
        done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
        for future in [future for future in self.pending if future in done]:
            entry = self.pending.pop(future)
            try:
                labels = future.result()
            except SteersearchError:
                raise
            except Exception as error:
                self._fail(entry, error)
            else:
                self._judge(entry, labels)
                self._failures = 0

    def _judge(self, entry: Entry, labels: Iterable[str]) -> None:
        scores = [(label, self._score(entry.latent, label)) for label in labels]
        self.proposals[entry.latent] = [
            Candidate(label, value) for label, value in scores if value is not None and math.isfinite(value)
        ]

    def _fail(self, entry: Entry, error: Exception) -> None:
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


def choose(entries: Iterable[Entry], proposals: Mapping[int, Sequence[Candidate]]) -> dict[int, Candidate]:
    """The best candidate of each feature that beats its present label. No two the same: the better score has it."""
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


def _check(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ConfigError(f"{name} is {value}, expected more than 0")
