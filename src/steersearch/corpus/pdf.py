"""PDF as text (extra ``files``): page by page, with pypdf, which is pure Python."""

from io import BytesIO
from pathlib import Path

from ..errors import DataError
from ..extras import require
from .sections import Section

require("files", "pypdf")

from pypdf import PdfReader  # noqa: E402
from pypdf.errors import DependencyError, FileNotDecryptedError  # noqa: E402


def read_pdf(path: Path, data: bytes) -> tuple[str, tuple[Section, ...], dict[str, object]]:
    """The text of all pages, a blank line between them, and where each begins.

    Raises:
        DataError: It is damaged, or encrypted with a password, or no page has text.
    """
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise FileNotDecryptedError
        texts = [page.extract_text().strip() for page in reader.pages]
    except (DependencyError, FileNotDecryptedError) as error:
        raise DataError(f"{path} is encrypted: save it without a password") from error
    except Exception as error:  # of a damaged file pypdf says all kinds of things
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): save it anew") from error
    sections, position = [], 0
    for number, text in enumerate(texts, start=1):
        sections.append(Section(position, {"page": number}, apart=True))
        position += len(text) + 2
    if not any(texts):
        raise DataError(f"{path} has no text on its {len(texts)} pages: recognise the text of scanned pages first")
    return "\n\n".join(texts), tuple(sections), {}
