"""Candidates for names, made by hand."""

import numpy as np

from steersearch.noun_phrases.english import singular_of
from steersearch.runtime.interpret.names.candidates import Candidates


def made_candidates(texts, centred, frequency=None, documents=()):
    """Return candidates; `documents` has the numbers of the phrases of each document."""
    words = [text.casefold().split() for text in texts]
    centred = np.asarray(centred, np.float32)
    return Candidates(
        texts=list(texts),
        keys=[(*most, singular_of(last)) for *most, last in words],
        frequency=np.full(len(texts), 5) if frequency is None else np.asarray(frequency),
        centred=centred,
        mean=np.zeros(centred.shape[1], np.float32),
        phrases=np.array([number for row in documents for number in row], np.int32),
        starts=np.concatenate([[0], np.cumsum([len(row) for row in documents])]).astype(np.int64),
    )
