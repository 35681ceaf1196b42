"""`/api/copy`: a state as code, as a command, as a call of an agent's tool and as a file. Each of them runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from ..requests import State
from ..studio import Asked, Resolved, Studio, signed

WIDTH = 100
MEDIUM = 1.0
STRENGTHS = (("light", 0.5), ("medium", 1.0), ("strong", 2.0))
"""Strengths that the MCP tool has words for."""


@dataclass(frozen=True)
class _Wanted:
    """One concept that counts, as it is written down."""

    made: Resolved
    key: Mapping[str, Any]
    strength: float | str
    exclude: bool
    off: tuple[int, ...]

    @property
    def plain(self) -> str | int | None:
        """The phrase or latent that the Python API takes as it is; None where it is a `Concept`."""
        return self.made.key if isinstance(self.made.key, str | int) else None


def copies(studio: Studio, state: State) -> dict[str, Any]:
    """Return ``{python, langchain, cli, mcp, concept, concepts}`` of a state.

    `concept` is the file of its first concept, null without one, and `concepts` has one for each.

    Raises:
        ConfigError: The query is empty, or the same concept stands there twice.
    """
    asked = studio.ask(state)
    wanted = [
        _Wanted(made, wish.key, signed(wish.strength, made.sign), wish.exclude, wish.off)
        for wish, made in zip(state.wishes, asked.found, strict=True)
        if wish.on and made is not None
    ]
    files = {each.made.whole.name: each.made.concept.to_json(studio.index.bundle) for each in wanted}
    return {
        "python": _python(studio, state, wanted),
        "langchain": _langchain(studio, state, wanted),
        "cli": _cli(studio, state, wanted),
        "mcp": _mcp(studio, state, wanted, asked),
        "concept": next(iter(files.values()), None),
        "concepts": files,
    }


def _python(studio: Studio, state: State, wanted: list[_Wanted]) -> str:
    steering, lines, imports = _steering(studio, wanted)
    head, runtime = _imports(imports)
    return "\n".join(
        [
            *head,
            runtime,
            "",
            f"index = SteerableIndex.open({_opened(studio)})",
            *lines,
            _call("hits = index.search", [repr(state.query), *_arguments(state, steering)]),
            "for hit in hits:",
            '    print(hit.rank, f"{hit.score:.3f}", hit.id, hit.text[:80])',
            "",
        ]
    )


def _langchain(studio: Studio, state: State, wanted: list[_Wanted]) -> str:
    steering, lines, imports = _steering(studio, wanted)
    head, runtime = _imports(imports)
    return "\n".join(
        [
            *head,
            "from steersearch.integrations.langchain import SteerableRetriever",
            runtime,
            "",
            f"index = SteerableIndex.open({_opened(studio)})",
            *lines,
            _call("retriever = SteerableRetriever", ["index=index", *_arguments(state, steering)]),
            f"documents = retriever.invoke({state.query!r})",
            "",
        ]
    )


def _cli(studio: Studio, state: State, wanted: list[_Wanted]) -> str:
    """Return a command of a POSIX shell; concepts that have no name of one line are written to files before it."""
    before, words = [], ["--index", str(studio.index.path)]
    if studio.moved_bundle is not None:
        words += ["--bundle", str(studio.moved_bundle)]
    words += ["-k", str(state.k)]
    for number, each in enumerate(wanted, 1):
        text = _argument(each)
        if text is None:
            file = f"concept-{number}.json"
            body = each.made.concept.to_json(studio.index.bundle)
            before.append(f"cat > {file} <<'END'\n{body}\nEND")
            text = f"@{file}"
        words += ["--exclude", text] if each.exclude else ["--boost", f"{text}={_number(each.strength)}"]
    if state.view != "dense":
        words += ["--view", state.view]
    if state.filter is not None:
        words += ["--filter", json.dumps(state.filter)]
    if state.understand:
        words.append("--understand")
    # Behind "--" nothing is an option, whatever it begins with.
    query = ["--", state.query] if state.query.startswith("-") else [state.query]
    words = [*words, *query] if len(query) > 1 else [*query, *words]
    return "\n".join([*before, shlex.join(["sae", "search", *words])])


def _argument(each: _Wanted) -> str | None:
    """Return a concept as an option takes it; None for one that needs a file."""
    if each.plain is None:
        return None
    if isinstance(each.plain, int):
        return f"f{each.plain}"
    text = each.plain.strip()
    # A phrase that is read as a file, or for an exclusion as one with a strength; or that no shell passes on.
    ambiguous = text.startswith("@") or ("=" in text and each.exclude) or not text.isprintable()
    return None if ambiguous else text


def _mcp(studio: Studio, state: State, wanted: list[_Wanted], asked: Asked) -> str:
    """Return a call of the tool `search_documents`, which takes phrases and one strength for all."""
    numbers = [abs(each.strength) for each in wanted if not isinstance(each.strength, str) and not each.exclude]
    mean = sum(numbers) / len(numbers) if numbers else MEDIUM
    arguments: dict[str, Any] = {"query": state.query, "k": state.k}
    lists: dict[str, list[str]] = {"more_of": [], "less_of": [], "like": [], "unlike": [], "exclude": []}
    for each in wanted:
        if each.strength == 0:
            continue
        less = each.strength == "-auto" or (not isinstance(each.strength, str) and each.strength < 0)
        if each.key.get("more") and not less and not each.exclude:
            lists["like"] += each.key["more"]
            lists["unlike"] += each.key.get("less", [])
            continue
        name = each.plain if isinstance(each.plain, str) else _names(studio, each)
        lists["exclude" if each.exclude else "less_of" if less else "more_of"].append(name)
    arguments |= {name: held for name, held in lists.items() if held}
    if numbers:
        arguments["strength"] = min(STRENGTHS, key=lambda pair: abs(pair[1] - mean))[0]
    if state.filter is not None:
        arguments["where"] = json.dumps(state.filter, ensure_ascii=False)
    if asked.steered.request is not None:
        arguments["understand"] = True
    return json.dumps({"name": "search_documents", "arguments": arguments}, ensure_ascii=False, indent=2)


def _names(studio: Studio, each: _Wanted) -> str:
    """Return the strongest feature of a concept, which an agent can name."""
    latents = each.made.concept.weights
    if each.made.whole.source == "text":
        return each.made.whole.name
    return str(studio.features[max(latents, key=lambda latent: abs(latents[latent]))].name)


def _steering(studio: Studio, wanted: list[_Wanted]) -> tuple[list[str], list[str], set[str]]:
    """Return the arguments that steer, the lines that make their concepts, and what is imported for them."""
    boost, exclude, lines, imports = [], [], [], set[str]()
    for number, each in enumerate(wanted, 1):
        if each.plain is not None:
            text = repr(each.plain)
        else:
            text = f"concept_{number}"
            lines += _made(studio, each, text, imports)
        if each.exclude:
            exclude.append(text)
        else:
            boost.append(f"{text}: {each.strength!r}")
    arguments = [f"boost={{{', '.join(boost)}}}"] if boost else []
    arguments += [f"exclude=[{', '.join(exclude)}]"] if exclude else []
    return arguments, lines, imports


def _made(studio: Studio, each: _Wanted, name: str, imports: set[str]) -> list[str]:
    """Return the lines that make a concept."""
    key = each.key
    if "concept" in key:
        imports.add("Concept")
        path = studio.saved.folder / "concepts" / f"{key['concept']}.json"
        lines = [f"{name} = Concept.load({str(path)!r}, index.bundle)"]
    elif "weights" in key:
        imports.add("Concept")
        weights = {int(latent): weight for latent, weight in key["weights"].items()}
        named = f", name={key['phrase']!r}" if key.get("phrase") else ""
        lines = [f"{name} = Concept.from_latents({pformat(weights, WIDTH, compact=True)}{named})"]
    elif "more" in key or "less" in key:
        imports.add("Concept")
        more, less = key.get("more") or [], key.get("less") or []
        parts = [repr(more or less), *([f"less_like={less!r}"] if more and less else [])]
        parts += [f"phrase={key['phrase']!r}"] if key.get("phrase") else []
        lines = [_call(f"{name} = Concept.from_examples", parts)]
    else:
        lines = [f"{name} = index.resolve({key.get('feature', key.get('phrase'))!r})"]
    off = sorted(set(each.off) & each.made.whole.weights.keys())
    if off:
        imports.add("replace")
        if "index.resolve" not in lines[-1]:
            lines.append(f"{name} = index.resolve({name})")
        lines.append(f"off = {set(off)!r}")
        lines.append(
            f"{name} = replace({name}, weights={{f: weight for f, weight in {name}.weights.items() if f not in off}})"
        )
    return lines


def _imports(names: Collection[str]) -> tuple[list[str], str]:
    """Return what stands before the other imports, and the import of the runtime."""
    head = ["from dataclasses import replace\n"] if "replace" in names else []
    return head, f"from steersearch.runtime import {'Concept, ' if 'Concept' in names else ''}SteerableIndex"


def _arguments(state: State, steering: Sequence[str]) -> list[str]:
    """Return the arguments that a search and a retriever share."""
    arguments = [f"k={state.k}", *steering]
    if state.view != "dense":
        arguments.append(f"view={state.view!r}")
    if state.filter is not None:
        arguments.append(f"filter={pformat(dict(state.filter), WIDTH, sort_dicts=False)}")
    return [*arguments, *(["understand=True"] if state.understand else [])]


def _opened(studio: Studio) -> str:
    moved = "" if studio.moved_bundle is None else f", bundle={str(studio.moved_bundle)!r}"
    return f"{str(studio.index.path)!r}{moved}"


def _number(strength: float | str) -> str:
    return strength if isinstance(strength, str) else f"{strength!r}"


def _call(function: str, arguments: list[str]) -> str:
    """Return a call on one line, or on one for each argument where it is long."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])
