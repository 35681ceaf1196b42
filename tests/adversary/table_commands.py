"""Rows of the table: the terminal, arguments of the command line, and arguments of an agent."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from .hostile import BUNDLE, holds, refused, row, sae
from .hostile_inputs import (
    CONTROLS,
    GOOD,
    harmless,
    made_index,
    searched,
    shown_harmlessly,
    tool,
    with_files,
)

MB = 10**6

# The terminal.

row(
    "terminal: control characters in a text",
    searched("moon", texts=[f"moon {CONTROLS} star"]),
    holds(shown_harmlessly()),
)
row("terminal: control characters in an id", searched("moon", ids=[f"a{CONTROLS}"]), holds(shown_harmlessly()))
row(
    "terminal: control characters in metadata",
    searched("moon", metadata=[{f"a{CONTROLS}": f"b{CONTROLS}"}]),
    holds(shown_harmlessly()),
)
row(
    "terminal: control characters in a comparison",
    searched("moon", "--compare", "--boost", "star=1", texts=[f"moon {CONTROLS}", GOOD]),
    holds(shown_harmlessly()),
)
row(
    "terminal: control characters in a concept",
    searched("moon", "--boost", f"moon{CONTROLS}=1"),
    holds(shown_harmlessly(None)),
)
row("terminal: control characters in a filter", searched("moon", "--filter", f"{CONTROLS}"), holds(shown_harmlessly(2)))
row(
    "terminal: control characters in a path",
    lambda folder: sae("search", "moon", "-i", f"no{CONTROLS}"),
    holds(shown_harmlessly(None)),
)
row(
    "terminal: control characters in an option",
    searched("moon", "--view", f"x{CONTROLS}"),
    holds(shown_harmlessly(None)),
)
row(
    "terminal: control characters in JSON",
    searched("moon", "--json", texts=[f"moon {CONTROLS}"], ids=[f"a{CONTROLS}"]),
    holds(lambda ended: harmless(ended.out) and json.loads(ended.out)["hits"][0]["id"] == f"a{CONTROLS}"),
)
row(
    "terminal: control characters in a label",
    lambda folder: labelled(folder, f"x{CONTROLS}"),
    holds(shown_harmlessly()),
)
row(
    "terminal: control characters in a file's name",
    lambda folder: index_command(folder, {f"a{CONTROLS[:9]}.txt": b"\xff"}),
    holds(shown_harmlessly(1)),
)
row(
    "terminal: an id that looks like an emoji",
    searched("moon", ids=["row:x:1"]),
    holds(lambda ended: "row:x:1" in ended.out),
)
row(
    "terminal: a text that looks like an emoji",
    searched("moon", texts=["moon :x: star"]),
    holds(lambda ended: ":x:" in ended.out),
)
row(
    "terminal: an id that looks like markup",
    searched("moon", ids=["[/] [red]a"]),
    holds(lambda ended: "[/] [red]a" in ended.out),
)
row(
    "terminal: an id with backslashes", searched("moon", ids=["a\\[b]\\"]), holds(lambda ended: "a\\[b]\\" in ended.out)
)
row(
    "terminal: a label that is markup",
    lambda folder: labelled(folder, "[/]"),
    holds(lambda ended: "[/]" in ended.out and not ended.code),
)
row(
    "terminal: an index named like markup",
    lambda folder: index_command(folder, {}, out="a[/b]c"),
    holds(lambda ended: ended.code == 0),
)
for encoding in ("ascii", "latin-1", "cp1252"):
    row(
        f"terminal: output in {encoding}",
        searched("moon", texts=["moon é 月 🌙 \u2500"], encoding=encoding),
        holds(lambda ended: ended.code == 0 and "Traceback" not in ended.err),
    )
    row(
        f"terminal: an error in {encoding}",
        searched("moon", "--filter", "月", encoding=encoding),
        holds(lambda ended: ended.code == 2 and "Traceback" not in ended.err),
    )
row(
    "terminal: output to /dev/full",
    searched("moon", stdout="/dev/full"),
    holds(lambda ended: ended.code == 1 and "Traceback" not in ended.err),
)
row(
    "terminal: JSON to /dev/full",
    searched("moon", "--json", stdout="/dev/full"),
    holds(lambda ended: ended.code == 1 and "Traceback" not in ended.err),
)


row(
    "terminal: a reader that ends after one line",
    searched("moon", "-k", "200", texts=[GOOD] * 200, stdout="closed"),
    holds(lambda ended: ended.code in (0, 141) and "Traceback" not in ended.err),
)


def labelled(folder: Path, label: str) -> Any:
    """Show a bundle that has this label from its maker."""
    from .hostile_inputs import copied_bundle, reseal

    copy = copied_bundle(folder)
    body = json.loads((copy / "features.json").read_text())
    body["latents"][3] |= {"label": label, "keywords": [label], "examples": [label]}
    (copy / "features.json").write_text(json.dumps(body))
    reseal(copy)
    return sae("features", "list", "-b", copy)


def index_command(folder: Path, files: dict[str, bytes], out: str = "index") -> Any:
    data = with_files(folder, {os.fsencode(name): content for name, content in files.items()})
    return sae("index", data, "-b", BUNDLE, "-i", out)


# Arguments of the command line.

for given in ("1e999", "nan", "-inf", "9" * 400, "9" * 5000, "x", "", "0x10", "１"):
    row(
        f"argument: --boost moon={given[:9]}{len(given)}",
        searched("moon", "--boost", f"moon={given}"),
        refused() if given != "１" else holds(lambda ended: "Traceback" not in ended.err),
    )
row("argument: --boost f with 5,000 digits", searched("moon", "--boost", "f" + "9" * 5000), refused())
row("argument: --boost with nothing", searched("moon", "--boost", ""), refused())
row("argument: --boost @ a file that is none", searched("moon", "--boost", "@/dev/null"), refused())
row("argument: --boost @ a folder", searched("moon", "--boost", "@."), refused())
row(
    "argument: --boost @ a file nested 100,000 deep",
    lambda folder: concept_file(folder, "[" * 100_000),
    refused(),
)
row(
    "argument: --boost @ a file with 400 digits",
    lambda folder: concept_file(folder, '{"name": "x", "source": "latents", "weights": {"f3": ' + "9" * 400 + "}}"),
    refused(),
)
row(
    "argument: --boost @ a weight that is text",
    lambda folder: concept_file(folder, '{"name": "x", "source": "latents", "weights": {"f3": "a"}}'),
    refused(),
)
row("argument: --filter ''", searched("moon", "--filter", ""), refused("filter"))
row("argument: --filter '[]'", searched("moon", "--filter", "[]"), refused("filter"))
row("argument: --filter nested 100,000 deep", searched("moon", "--filter", "[" * 50_000), refused("filter"))
row(
    "argument: --filter nested as objects",
    searched("moon", "--filter", '{"$not":' * 500 + "{}" + "}" * 500),
    refused("filter"),
)
row("argument: --filter with NaN", searched("moon", "--filter", '{"n": NaN}'), refused())
row("argument: --filter of 400 digits", searched("moon", "--filter", '{"n": ' + "9" * 400 + "}"), refused())
row("argument: -k 0", searched("moon", "-k", "0"), refused("k is 0"))
row("argument: -k -1", searched("moon", "-k", "-1"), refused())
row("argument: -k 2**70", searched("moon", "-k", str(2**70)), holds(lambda ended: "Traceback" not in ended.err))
row("argument: --keep 2", searched("moon", "--keep", "2"), refused("keep"))
row("argument: --keep nan", searched("moon", "--keep", "nan"), refused("keep"))
row("argument: --fusion dense=nan", searched("moon", "--view", "hybrid", "--fusion", "dense=nan"), refused())
row("argument: --fusion dense=1e999", searched("moon", "--view", "hybrid", "--fusion", "dense=1e999"), refused())
row("argument: a query of 100,000 characters", searched("moon " * 20_000), holds(lambda ended: ended.code == 0))
row("argument: a query of nothing", searched(""), holds(lambda ended: "Traceback" not in ended.err))
row("argument: a query of half an emoji", searched("moon \udc80"), holds(lambda ended: "Traceback" not in ended.err))
row(
    "argument: an index that is a file",
    lambda folder: sae("search", "moon", "-i", BUNDLE / "LICENSES"),
    refused("LICENSES"),
)
row("argument: an index path with a zero byte", lambda folder: sae("search", "moon", "-i", "a\0b"), refused())
row(
    "argument: an index path of 5,000 characters",
    lambda folder: sae("search", "moon", "-i", "x" * 5000),
    refused(),
)
row("argument: data that is not there", lambda folder: sae("index", "nothing", "-b", BUNDLE), refused("nothing"))
row(
    "argument: a bundle that is not there", lambda folder: sae("index", BUNDLE / "LICENSES", "-b", "nothing"), refused()
)
row(
    "argument: another bundle for search",
    lambda folder: (made_index(folder), sae("search", "moon", "-i", "index", "--bundle", BUNDLE))[1],
    holds(lambda ended: ended.code == 0),
)
row(
    "argument: explain with another bundle",
    lambda folder: (made_index(folder), sae("explain", "moon", "d0", "-i", "index", "--bundle", BUNDLE))[1],
    holds(lambda ended: ended.code == 0),
)
row(
    "argument: explain an id that is not there",
    lambda folder: (made_index(folder), sae("explain", "moon", "x" * 10_000, "-i", "index"))[1],
    refused(),
)
row(
    "argument: a read-only folder",
    lambda folder: read_only_folder(folder, "search", "moon"),
    holds(lambda ended: ended.code == 0 and "good.txt" in ended.out),
)
row(
    "argument: explain in a read-only folder",
    lambda folder: read_only_folder(folder, "explain", "moon", "good.txt"),
    holds(lambda ended: ended.code == 0 and "good.txt" in ended.out),
)
row(
    "argument: writing into a read-only folder",
    lambda folder: read_only_folder(folder, "index", "data", "-b", "bundle"),
    refused("index"),
)


row(
    "argument: judgments of a header alone",
    lambda folder: judged(folder, ""),
    refused("qrels"),
    seconds=8,
)
row(
    "argument: judgments with a blank line",
    lambda folder: judged(folder, "q\ta\t1\n\nq\tb\t0\n\n"),
    holds(lambda ended: ended.code == 0),
)


def judged(folder: Path, lines: str) -> Any:
    """Measure the tiny bundle with these judgments."""
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text("".join(f'{{"_id": "{id}", "text": "moon {id}"}}\n' for id in "abc"))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "moon"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return sae("eval", "--data", folder, "-b", BUNDLE, "--json")


def concept_file(folder: Path, content: str) -> Any:
    (folder / "c.json").write_text(content)
    return searched("moon", "--boost", "@c.json=1")(folder)


def read_only_folder(folder: Path, *command: object) -> Any:
    """Search somebody else's index: root may write everywhere, so another user searches."""
    from .hostile_inputs import copied_bundle

    sae("index", with_files(folder, {}), "-b", copied_bundle(folder), "-i", "index")
    sae("search", "moon", "-i", "index")  # loads what this user may not be able to read
    shutil.rmtree("index/cache")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "out.txt").chmod(0o666)
    (folder / "err.txt").chmod(0o666)
    if os.getuid() == 0:
        os.setuid(65534)
    return sae(*command, "-i", folder / "index")


# Arguments of an agent.

row(
    "agent: find_concepts with 4 MB",
    tool("find_concepts", text=" ".join(f"w{i}" for i in range(560_000))),
    holds(lambda text: bool(text)),
)
row(
    "agent: find_concepts with one word of 1 MB",
    tool("find_concepts", text="x" * MB),
    holds(lambda text: bool(text)),
    seconds=4,
)
row(
    "agent: search with 1 MB",
    tool("search_documents", query="moon " * 200_000),
    holds(lambda text: bool(text)),
    seconds=4,
)
row(
    "agent: 10,000 concepts",
    tool("search_documents", query="moon", more_of=[f"star {i}" for i in range(10_000)]),
    holds(lambda text: bool(text)),
    seconds=4,
)
row(
    "agent: a concept of 1 MB",
    tool("search_documents", query="moon", more_of=["star " * 200_000]),
    holds(lambda text: bool(text)),
)
row(
    "agent: 2,000 examples",
    tool("search_documents", query="moon", like=[f"d{i}" for i in range(2_000)]),
    holds(lambda text: bool(text)),
)
row(
    "agent: where is an object",
    tool("search_documents", query="moon", where={"n": 1}),
    holds(lambda text: '"d1' in text or "d1\\" in text),
)
row(
    "agent: where is null",
    tool("search_documents", query="moon", where=None),
    holds(lambda text: "d0" in text),
)
row(
    "agent: where is an empty object",
    tool("search_documents", query="moon", where={}),
    holds(lambda text: "d0" in text),
)
row(
    "agent: where is nested 100,000 deep",
    tool("search_documents", query="moon", where="[" * 100_000),
    holds(lambda text: "where" in text),
)
row(
    "agent: where is a number",
    tool("search_documents", query="moon", where="5"),
    holds(lambda text: "where is '5'" in text),
)
row("agent: k is 10**30", tool("search_documents", query="moon", k=10**30), holds(lambda text: "50" in text))
row("agent: keep is 1e999", tool("search_documents", query="moon", keep=math.inf), holds(lambda text: "keep" in text))
row(
    "agent: an argument that is unknown",
    tool("search_documents", query="moon", path="/etc/passwd"),
    holds(lambda text: "path" in text),
)
row(
    "agent: half an emoji",
    tool("search_documents", query="\ud83d"),
    holds(lambda text: "Error" in text or "results" in text),
)
row(
    "agent: metadata nested 100,000 deep",
    tool("add_documents", True, texts=["a"], metadata="[" * 100_000),
    holds(lambda text: "metadata is not JSON" in text or "metadata has" in text),
)
row("agent: an id of 1 MB", tool("add_documents", True, texts=["a"], ids=["x" * MB]), holds(lambda text: bool(text)))
row(
    "agent: an id of half an emoji",
    tool("add_documents", True, texts=["a"], ids=["\ud83d"]),
    holds(lambda text: ("ToolError" in text and "Error executing tool add_documents: " in text) or "id" in text),
)
row(
    "agent: ids that are too few",
    tool("add_documents", True, texts=["a", "b"], ids=["x"]),
    holds(lambda text: "2 texts but 1 ids" in text),
)
row(
    "agent: deleting without the right to",
    tool("delete_documents", ids=["d0"]),
    holds(lambda text: "Unknown tool" in text or "delete" in text),
)
