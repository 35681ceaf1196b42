"""A corpus that every Python installation has: its own documentation.

The files of the standard library are parsed with `ast` and not imported, so reading takes seconds and has no side
effects. Docstrings become documents as they are; the topics of ``help()`` are cut into pieces first.
"""

from __future__ import annotations

import ast
import logging
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .documents import Corpus, Document

logger = logging.getLogger(__name__)

MIN_CHARS = 50
"""Shorter docstrings ("Return the name.") have too little content to be found or trained on."""
MIN_TOPIC_CHARS = 600
"""A piece of a topic ends at the first end of a paragraph after this many characters."""
MAX_CHARS = 1200
"""A piece is longer only by a lead-in, or when a single line is longer."""
LEAD_IN_CHARS = 100
"""A piece as short as this ("The following methods are supported:") is joined to the next one."""

_SKIP = frozenset(
    # Tests, third-party packages, two applications, and about 90 code pages with one generated sentence each.
    "test tests idle_test site-packages dist-packages idlelib lib2to3 turtledemo encodings __pycache__".split()
)
_PUBLIC = {"_pydecimal": "decimal", "_pyio": "io", "_pydatetime": "datetime", "_collections_abc": "collections.abc"}
"""Private modules that hold the documentation of a public one."""

_UNDERLINE = re.compile(r"([*=\-~^\"'+#])\1{2,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\"'(])")
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Entry(NamedTuple):
    """One piece of documentation before equal texts are dropped."""

    id: str
    query: str
    text: str


@cache
def python_documentation() -> Corpus:
    """Read the documentation of this Python's standard library: docstrings and the topics of ``help()``.

    Returns:
        About 5,900 documents (Python 3.11), always in the same order, no two with equal texts. The id is the qualified
        name (``json.dumps``, ``topics.assert``, ``topics.assert.2`` ...). The pairs hold one query per document, its
        qualified name and first line; the document's text is the rest, or the first line when there is no rest.

    Raises:
        DataError: This installation came without the source files of its library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents: list[Document] = []
    pairs: list[tuple[str, str]] = []
    ids: set[str] = set()
    texts: set[str] = set()
    for entry in _entries(root):
        if entry.id not in ids and entry.text not in texts:
            ids.add(entry.id)
            texts.add(entry.text)
            documents.append(Document(entry.id, entry.text))
            pairs.append((entry.query, entry.id))
    if not documents:
        raise DataError(f"{root} holds no documented .py files: use a Python that was installed with its library")
    return Corpus.from_documents("python-documentation", documents, pairs)


def _entries(root: Path) -> Iterator[_Entry]:
    for path in _source_files(root):
        try:
            with warnings.catch_warnings():
                # Old escapes such as "\d" in library code give warnings.
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError) as error:  # a template or a damaged file
            logger.debug("%s is left out: %s", path, error)
            continue
        parts = path.relative_to(root).with_suffix("").parts
        if parts == ("pydoc_data", "topics"):
            yield from _topics(tree)
            continue
        module = ".".join(parts).removesuffix(".__init__")
        for name, docstring in _docstrings(tree, _PUBLIC.get(module, module)):
            yield _entry(name, docstring)


def _source_files(root: Path) -> list[Path]:
    """List the library's .py files by path. Skipped folders are not walked: site-packages can be huge."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIP and name.isidentifier()]
        found += [Path(folder, name).relative_to(root) for name in files if name.endswith(".py")]
    return sorted((root / path for path in found if not _private(path.parts[0])), key=lambda path: path.parts)


def _private(name: str) -> bool:
    """Tell whether a top module of the library is private and does not document a public one."""
    name = name.removesuffix(".py")
    return name.startswith("_") and not name.startswith("__") and name not in _PUBLIC


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, docstring) of a node and of its definitions, also under ``if`` and ``try``."""
    if isinstance(node, ast.Module | _Definition):
        docstring = ast.get_docstring(node)
        if docstring is not None and len(docstring) >= MIN_CHARS:
            yield name, docstring
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield from _docstrings(child, f"{name}.{child.name}")
        elif isinstance(child, ast.If | ast.Try):
            yield from _docstrings(child, name)


def _entry(name: str, docstring: str) -> _Entry:
    """Split a docstring into its summary, which becomes the query, and the rest, which becomes the text."""
    paragraph, _, body = docstring.partition("\n\n")
    summary, _, rest = docstring.partition("\n")
    if sentence := _SENTENCE_END.search(paragraph):
        summary, rest = docstring[: sentence.start()], docstring[sentence.end() :]
    elif body and paragraph.count("\n") < 3:  # a summary of a few lines is not cut
        summary, rest = paragraph, body
    rest = rest.strip("\n")
    return _Entry(name, f"{name}: {' '.join(summary.split())}", rest if len(rest) >= MIN_CHARS else docstring)


def _topics(tree: ast.Module) -> Iterator[_Entry]:
    """Yield the sections of ``topics = {name: text}`` in pydoc_data/topics.py."""
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Dict):
            for topic, text in sorted(ast.literal_eval(value).items()):
                parts = [(query, part) for query, part in split_topic(text) if len(part) >= MIN_CHARS]
                for number, (query, part) in enumerate(parts, start=1):
                    yield _Entry(f"topics.{topic}" if number == 1 else f"topics.{topic}.{number}", query, part)


def split_topic(text: str) -> Iterator[tuple[str, str]]:
    """Cut a topic, as Sphinx writes plain text, at its underlined headings, and its sections at paragraphs.

    Yields:
        (query, text). The query of a section's first piece is its heading; that of a later piece is the heading and the
        first line of the piece.
    """
    for heading, body in _sections(text):
        for number, piece in enumerate(_pieces(body)):
            first = piece.lstrip().partition("\n")[0]
            query = heading if heading and number == 0 else f"{heading}: {first}" if heading else first
            yield query, piece


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, body) of every section with a body; the part before the first heading has the heading ``""``."""
    lines = text.splitlines()
    heading, start = "", 0
    for number in range(1, len(lines)):
        title = lines[number - 1].strip()
        # An underline is as long as its title; lines in tables and examples are not.
        if _UNDERLINE.fullmatch(lines[number]) and title and abs(len(lines[number]) - len(lines[number - 1])) <= 1:
            if body := "\n".join(lines[start : number - 1]).strip("\n"):
                yield heading, body
            heading, start = title, number + 1
    if body := "\n".join(lines[start:]).strip("\n"):
        yield heading, body


def _pieces(body: str) -> Iterator[str]:
    """Join paragraphs into pieces of bounded length; a short last piece joins the one before it where it fits."""
    pieces: list[str] = []
    for paragraph in re.split(r"\n\s*\n", body):
        for part in _bounded(paragraph):
            last = pieces[-1] if pieces else ""
            bound = MAX_CHARS + (LEAD_IN_CHARS if len(last) <= LEAD_IN_CHARS else 0)
            if last and len(last) < MIN_TOPIC_CHARS and len(last) + len(part) <= bound:
                pieces[-1] = f"{last}\n\n{part}"
            else:
                pieces.append(part)
    if len(pieces) > 1 and len(pieces[-1]) < MIN_TOPIC_CHARS // 2 and len(pieces[-2]) + len(pieces[-1]) <= MAX_CHARS:
        last = pieces.pop()
        pieces[-1] = f"{pieces[-1]}\n\n{last}"
    yield from pieces


def _bounded(paragraph: str) -> Iterator[str]:
    """Cut a paragraph that is longer than `MAX_CHARS`, a table or a listing, at its line ends."""
    piece = ""
    for line in paragraph.splitlines():
        if piece and len(piece) + 1 + len(line) > MAX_CHARS:
            yield piece
            piece = ""
        piece = f"{piece}\n{line}" if piece else line
    yield piece
