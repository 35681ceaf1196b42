"""What pages can ask for: a function for each address under ``/api/``, without a server around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import ConfigError, DataError, SteersearchError
from ...text import shown
from .answers.compare import measure
from .answers.copies import copies
from .answers.curve import curve
from .answers.features import BEST_FIRST, edit, feature, features, tree
from .answers.fields import info
from .answers.maps import POINTS, draw
from .answers.search import features_of, search, title_of
from .answers.words import MOST, words
from .requests import Wish, as_list, as_object, as_text, as_whole, check_names, read_key, read_state
from .saved import as_grade, check_name
from .studio import Resolved, Studio, Warned

GET, POST, PUT, DELETE = "GET", "POST", "PUT", "DELETE"
Values = Mapping[str, Any]


class Forbidden(ConfigError):
    """A page wants to write, and may not."""


class NotThere(DataError):
    """Something that is named is not there."""


def _info(studio: Studio, values: Values) -> Any:
    return info(studio)


def _search(studio: Studio, values: Values) -> Any:
    return search(studio, read_state(values["body"]))


def _copy(studio: Studio, values: Values) -> Any:
    return copies(studio, read_state(values["body"].get("state")))


def _document(studio: Studio, id: str, values: Values) -> Any:
    record = studio.index.get([id])[0]
    if record is None:
        raise NotThere(f"there is no document {shown(id)}")
    return {"id": record.id, "text": record.text, "title": title_of(record.metadata), "metadata": record.metadata}


def _words(studio: Studio, values: Values) -> Any:
    ids = as_list(values["body"].get("ids"), "ids", MOST)
    texts = [as_text(id, f"ids[{i}]", 10_000) for i, id in enumerate(ids)]
    return words(studio, studio.ask(read_state(values["body"].get("state"))), texts)


def _features(studio: Studio, values: Values) -> Any:
    limit = as_whole(_whole(values.get("limit", "50")), "limit", 1, 1_000)
    offset = as_whole(_whole(values.get("offset", "0")), "offset", 0, 10**9)
    q = as_text(values.get("q", ""), "q", 2_000, empty=True)
    return features(studio, q, values.get("sort") or BEST_FIRST, limit, offset)


def _tree(studio: Studio, values: Values) -> Any:
    return tree(studio)


def _feature(studio: Studio, latent: str, values: Values) -> Any:
    return feature(studio, as_whole(_whole(latent), "the feature", 0, 10**9))


def _edit(studio: Studio, latent: str, values: Values) -> Any:
    _may_write(studio)
    return edit(studio, as_whole(_whole(latent), "the feature", 0, 10**9), values["body"])


def _curve(studio: Studio, values: Values) -> Any:
    state = read_state(values["body"].get("state"))
    return curve(studio, state, as_whole(values["body"].get("index"), "index", 0, 1_000))


def _map(studio: Studio, values: Values) -> Any:
    body = values["body"]
    check_names(body, ("kind", "limit", "color"), "the body")
    kind = as_text(body.get("kind", "documents"), "kind", 40)
    limit = as_whole(body.get("limit", POINTS), "limit", 1, 10**9)
    color = body.get("color")
    field = color.get("field") if isinstance(color, dict) else None
    if color is None:
        return draw(studio, kind, limit)
    if field is not None:
        return draw(studio, kind, limit, field=as_text(field, "color.field", 1_000))
    return draw(studio, kind, limit, key=read_key(color, "color"))


def _compare(studio: Studio, values: Values) -> Any:
    body = values["body"]
    names = [check_name(name) for name in as_list(body.get("snapshots"), "snapshots", 50)]
    queries = [
        as_text(query, f"queries[{i}]", 20_000)
        for i, query in enumerate(as_list(body.get("queries"), "queries", 1_000))
    ]
    judged = studio.saved.judgments()
    rows = []
    for name in names:
        if name not in studio.saved.names("snapshots"):
            raise NotThere(f"no snapshot is called {shown(name)}")
        figures = measure(studio, studio.saved.snapshot(name).state, queries, judged)
        rows.append({"snapshot": name} | figures.to_json())
    return {"rows": rows}


def _whole(text: str) -> object:
    """Return the whole number that a part of an address names; the text itself where it names none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text


def _concept(studio: Studio, values: Values) -> Any:
    body = values["body"]
    made = studio.resolve(Wish(read_key(body.get("key"))))
    if isinstance(made, Warned):
        return {"name": "", "features": [], "warnings": [made.to_json()], "clear": False}
    warnings = [Warned(getattr(text, "kind", ""), text).to_json() for text in made.warnings]
    facts = {"name": made.whole.name, "features": features_of(made, studio.features), "warnings": warnings}
    return facts | {"clear": not warnings, "fit": made.whole.fit, "evidence": made.whole.evidence}


def _concepts(studio: Studio, values: Values) -> Any:
    return {"concepts": studio.saved.names("concepts")}


def _saved_concept(studio: Studio, name: str, values: Values) -> Any:
    made = studio.resolve(Wish({"concept": check_name(name)}))
    if isinstance(made, Warned):
        raise NotThere(made.text)
    return {"name": name, "features": features_of(made, studio.features)}


def _save_concept(studio: Studio, name: str, values: Values) -> Any:
    _may_write(studio)
    body = values["body"]
    off = tuple(as_whole(latent, "off", 0, 10**9) for latent in as_list(body.get("off", []), "off", 1_000))
    made = studio.resolve(Wish(read_key(body.get("key")), off=off))
    if not isinstance(made, Resolved):
        raise ConfigError(made.text)
    studio.saved.save_concept(name, made.concept, studio.index.bundle)
    return {"name": name}


def _remove(kind: str, studio: Studio, name: str, values: Values) -> Any:
    _may_write(studio)
    if not studio.saved.remove(kind, name):
        raise NotThere(f"nothing is saved as {shown(name)}")
    return {"name": name}


def _remove_concept(studio: Studio, name: str, values: Values) -> Any:
    return _remove("concepts", studio, name, values)


def _remove_snapshot(studio: Studio, name: str, values: Values) -> Any:
    return _remove("snapshots", studio, name, values)


def _snapshots(studio: Studio, values: Values) -> Any:
    found = []
    for name in studio.saved.names("snapshots"):
        try:
            snapshot = studio.saved.snapshot(name)
        except SteersearchError:  # somebody edited the file: the others are shown
            continue
        found.append({"name": name, "state": snapshot.state.to_json(), "expected": snapshot.expected or None})
    return {"snapshots": found}


def _snapshot(studio: Studio, name: str, values: Values) -> Any:
    if check_name(name) not in studio.saved.names("snapshots"):
        raise NotThere(f"no snapshot is called {shown(name)}")
    return {"name": name, "state": studio.saved.snapshot(name).state.to_json()}


def _save_snapshot(studio: Studio, name: str, values: Values) -> Any:
    _may_write(studio)
    studio.saved.save_snapshot(name, read_state(values["body"].get("state")))
    return {"name": name}


def _judgments(studio: Studio, values: Values) -> Any:
    judged = studio.saved.judgments()
    return {"judgments": [{"query": q, "id": id, "grade": g} for q, held in judged.items() for id, g in held.items()]}


def _judge(studio: Studio, values: Values) -> Any:
    _may_write(studio)
    body = as_object(values["body"], "the body")
    grade = body.get("grade")
    query, id = as_text(body.get("query"), "query", 20_000), as_text(body.get("id"), "id", 1_000)
    return {"judgments": studio.saved.judge(query, id, None if grade is None else as_grade(grade))}


def _may_write(studio: Studio) -> None:
    if not studio.allow_write:
        raise Forbidden("this studio is read-only: start it with --allow-write")


ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    (GET, "info", _info),
    (POST, "search", _search),
    (POST, "words", _words),
    (POST, "concept", _concept),
    (POST, "copy", _copy),
    (POST, "curve", _curve),
    (POST, "map", _map),
    (POST, "compare", _compare),
    (GET, "features", _features),
    (GET, "features/{latent}", _feature),
    (GET, "tree", _tree),
    (POST, "features/{latent}/edit", _edit),
    (GET, "documents/{id:path}", _document),
    (GET, "concepts", _concepts),
    (GET, "concepts/{name}", _saved_concept),
    (PUT, "concepts/{name}", _save_concept),
    (DELETE, "concepts/{name}", _remove_concept),
    (GET, "snapshots", _snapshots),
    (GET, "snapshots/{name}", _snapshot),
    (PUT, "snapshots/{name}", _save_snapshot),
    (DELETE, "snapshots/{name}", _remove_snapshot),
    (GET, "judgments", _judgments),
    (POST, "judgments", _judge),
]
"""Method, path below ``/api/``, and what answers: ``(studio, **parts of the path, values)``."""
