"""PDF as text (extra ``files``): page by page, with pypdf, which is pure Python."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from ..errors import DataError
from .lines import MAX_TEXT
from .sections import Content, Section


def read_pdf(path: Path, data: bytes) -> Content:
    """Return the text of all pages with a blank line between them, and a section for each page.

    Raises:
        DataError: The file is damaged or encrypted with a password, no page has text, or all have more than `MAX_TEXT`.
            A stream that unpacks to more than pypdf allows, 75 MB, counts as damaged.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise FileNotDecryptedError
        texts: list[str] = []
        size = 0
        for page in reader.pages:
            texts.append(page.extract_text().strip())
            size += len(texts[-1])
            if size > MAX_TEXT:
                break
    except (DependencyError, FileNotDecryptedError) as error:
        raise DataError(f"{path} is encrypted: save it without a password") from error
    # For damaged files pypdf raises errors of many classes.
    except Exception as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): save it anew") from error
    if size > MAX_TEXT:
        pages = f"more than {MAX_TEXT:,} characters on its first {len(texts)} pages"
        raise DataError(f"{path} has {pages}: cut it into several documents")
    sections, position = [], 0
    for number, text in enumerate(texts, start=1):
        sections.append(Section(position, {"page": number}, apart=True))
        position += len(text) + 2
    if not any(texts):
        raise DataError(f"{path} has no text on its {len(texts)} pages: recognise the text of scanned pages first")
    return "\n\n".join(texts), tuple(sections), {}
