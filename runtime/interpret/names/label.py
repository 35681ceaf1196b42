"""`Label`: the name of a feature."""

from __future__ import annotations

from dataclasses import dataclass

from ....arrays import FloatArray


@dataclass(frozen=True)
class Label:
    """A name, and the direction that documents are compared with."""

    phrases: tuple[str, ...]
    """One phrase of one to three words; two where the feature is about two things."""
    keys: tuple[tuple[str, ...], ...]
    """Their words in lower case, the last ones in the singular."""
    direction: FloatArray
    """Sum of the phrases' centred embeddings, unit length, shape (d_in,)."""
    description: str = ""
    """One line: what else the feature fires on, and what it does not."""

    @property
    def text(self) -> str:
        """The label as it is shown."""
        return ", ".join(self.phrases)
