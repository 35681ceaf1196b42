"""Files that are spoilt, as a disk or a person spoils them."""

from __future__ import annotations

import os
import random
from pathlib import Path


def spoil(path: Path, kind: str, place: float) -> None:
    """Delete a file, or put an altered one in its place by renaming."""
    if kind == "delete":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if kind == "flip" and content:
        content[at] ^= 1 << (at % 8)
    elif kind == "cut":
        content = content[:at]
    elif kind == "nonsense":
        content = bytearray(random.Random(place).randbytes(len(content)))
    altered = path.with_name(f"{path.name}.altered")
    altered.write_bytes(content)
    os.replace(altered, path)
