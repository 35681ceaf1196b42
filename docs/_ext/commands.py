"""The command-line reference, made from the commands themselves when the site is built.

A page that holds the line ``<!-- commands -->`` gets a section for every command, so that no option can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from sphinx.application import Sphinx

MARK = "<!-- commands -->"


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that is not hidden, by the words that call it, groups before what is in them."""
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from walk(inner, f"{name} {word}")


def all_commands() -> list[tuple[str, Any]]:
    """`sae`, all that is below it, and `sae-export`."""
    from steersearch.cli import app, export_app

    return [*walk(typer.main.get_command(app), "sae"), *walk(typer.main.get_command(export_app), "sae-export")]


def label_of(name: str) -> str:
    """Where a command stands: `command-sae-index-build`, and `script-sae-export`."""
    return f"{'command' if name.split()[0] == 'sae' else 'script'}-{name.replace(' ', '-')}"


def options_of(command: Any) -> list[Any]:
    """The parameters of a command that are shown, arguments first."""
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    return sorted(shown, key=lambda p: p.param_type_name != "argument")


def usage_of(name: str, command: Any) -> str:
    """How a command is called, on one line."""
    words = [name]
    for parameter in options_of(command):
        if parameter.param_type_name == "argument":
            word = (parameter.metavar or parameter.name).upper().strip("[]")
            word = f"{word}..." if parameter.nargs == -1 else word
            words.append(word if parameter.required else f"[{word}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {_value(parameter)}")
    if any(p.param_type_name == "option" and not p.required for p in command.params):
        words.append("[OPTIONS]")
    return " ".join([*words, *(["COMMAND [ARGS]..."] if getattr(command, "commands", None) else [])])


def markdown() -> str:
    """All commands, as sections of a page in Markdown."""
    return "\n\n".join(part for name, command in all_commands() for part in _section(name, command)) + "\n"


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"({label_of(name)})="
    yield f"{'#' * (1 + len(name.split()))} `{name}`"
    yield f"```text\n{usage_of(name, command)}\n```"
    yield (command.help or "").strip()
    if inner := {word: sub for word, sub in getattr(command, "commands", {}).items() if not sub.hidden}:
        yield _table(
            ("command", "does"),
            [(f"[`{name} {word}`](#{label_of(f'{name} {word}')})", _first(sub)) for word, sub in inner.items()],
        )
    if rows := [(_names(p), _help(p)) for p in options_of(command)]:
        yield _table(("argument or option", "meaning"), rows)


def _first(command: Any) -> str:
    return (command.short_help or (command.help or "").split("\n\n")[0]).replace("\n", " ").strip()


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper().strip('[]')}`"
    names = [f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)]
    if not parameter.is_flag and not getattr(parameter, "is_bool_flag", False):
        names[-1] = f"{names[-1][:-1]} {_value(parameter)}`"
    return ", ".join(names)


def _value(parameter: Any) -> str:
    """What an option takes: its choices, or a word for the type."""
    if parameter.metavar:
        return str(parameter.metavar)
    kind = getattr(parameter, "type", None)  # of click, which typer before 0.20 was built on
    if kind is not None:
        return "|".join(map(str, getattr(kind, "choices", ()))) or str(kind.name).upper()
    annotation = parameter.type_descriptor.annotation
    inner = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) in (list, UnionType, Union) and len(inner) == 1:
        annotation, inner = inner[0], list(get_args(inner[0]))
    if get_origin(annotation) is Literal:
        return "|".join(map(str, inner))
    return {"str": "TEXT", "int": "INTEGER"}.get(annotation.__name__, annotation.__name__.upper())


def _help(parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", "") or "").split())
    notes = []
    if parameter.required:
        notes.append("required")
    elif parameter.default not in (None, False, [], ()) and "default:" not in text:
        notes.append(f"default: `{parameter.default}`")
    if parameter.multiple and "repeated" not in text:
        notes.append("may be repeated")
    return f"{text} ({'; '.join(notes)})" if notes else text


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _insert(app: Sphinx, name: str, source: list[str]) -> None:
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, markdown())


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", _insert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
