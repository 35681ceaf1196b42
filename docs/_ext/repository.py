"""Pages of the repository that stand outside docs/ become pages of the site, where they exist.

Links between them, and from pages in docs/ to them, lead to pages of the site, since nothing outside the site is there
when it is read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PAGES = {
    "benchmarks/README.md": "benchmarks",
    "benchmarks/results/control.md": "benchmarks-control",
    "benchmarks/results/retention.md": "benchmarks-retention",
    "benchmarks/results/speed.md": "benchmarks-speed",
    "CHANGELOG.md": "project/changelog",
    "ARCHITECTURE.md": "project/architecture",
    "CONTRIBUTING.md": "project/contributing",
    "SECURITY.md": "project/security",
    "README.md": "index",
}
"""File of the repository -> page of the site. What is listed here and missing is left out."""

DATA = {".json", ".svg", ".png"}
"""Files that are offered as downloads where a page links to them; of other files that are no page the words stay."""
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def present() -> dict[str, str]:
    """`PAGES` as far as the files are there."""
    return {file: page for file, page in PAGES.items() if (ROOT / file).is_file()}


def absent() -> list[str]:
    """Pages whose file is not there."""
    return [page for file, page in PAGES.items() if file not in present()]


def _insert(app: Sphinx, page: str, source: list[str]) -> None:
    """Take a page's text from the repository, and turn links to files into links of the site."""
    found = re.search(r"^<!-- repository: (\S+) -->$", source[0], re.MULTILINE)
    home = Path(page).parent
    if found:
        file = found[1]
        source[0] = source[0].replace(found[0], (ROOT / file).read_text(encoding="utf-8"))
        app.env.note_dependency(str(ROOT / file))
        here = (ROOT / file).parent
    else:
        here = ROOT / "docs" / home
    parts = _BLOCK.split(source[0])  # every second one is a block of code
    parts[::2] = [_LINK.sub(lambda match: _link(match, here, home), part) for part in parts[::2]]
    source[0] = "".join(parts)


def _link(match: re.Match[str], here: Path, home: Path) -> str:
    """The same link, from the page that the text is on now."""
    image, words, target = match.groups()
    path, hash_, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return match[0]
    file = (here / path).resolve()
    if not file.exists() and not file.with_suffix(".md").exists():
        return match[0]  # Sphinx says that it leads nowhere
    try:
        name = file.relative_to(ROOT.resolve()).as_posix()
    except ValueError:
        return match[0]
    start = ROOT / "docs" / home
    if name in present():
        name = f"docs/{present()[name]}.md"
    there = os.path.relpath(ROOT / name, start)
    if image or name.startswith("docs/"):
        return f"{image}[{words}]({there}{hash_}{anchor})"
    return f"{{download}}`{words.replace('`', '')} <{there}>`" if file.suffix in DATA else words


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", _insert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
