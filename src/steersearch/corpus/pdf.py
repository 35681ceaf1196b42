"""PDF as text (extra ``files``): page by page, with pypdf, which is pure Python."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from ..errors import DataError
from .sections import Content, Section


def read_pdf(path: Path, data: bytes) -> Content:
    """Return the text of all pages with a blank line between them, and a section for each page.

    Raises:
        DataError: The file is damaged or encrypted with a password, or no page has text.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise FileNotDecryptedError
        texts = [page.extract_text().strip() for page in reader.pages]
    except (DependencyError, FileNotDecryptedError) as error:
        raise DataError(f"{path} is encrypted: save it without a password") from error
    # For damaged files pypdf raises errors of many classes.
    except Exception as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): save it anew") from error
    sections, position = [], 0
    for number, text in enumerate(texts, start=1):
        sections.append(Section(position, {"page": number}, apart=True))
        position += len(text) + 2
    if not any(texts):
        raise DataError(f"{path} has no text on its {len(texts)} pages: recognise the text of scanned pages first")
    return "\n\n".join(texts), tuple(sections), {}
