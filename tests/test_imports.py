"""Which room may import which, and that there are no circles: read from the source, every import counted.

Imports inside functions and under TYPE_CHECKING count like all others. The parents of a module, which Python runs
too, do not.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# folder -> import name
FOLDERS = {
    "src/steersearch": "steersearch",
    "cli": "steersearch.cli",
    "training": "steersearch.training",
    "export": "steersearch.export",
    "runtime": "steersearch.runtime",
    "integrations": "steersearch.integrations",
}
# room -> rooms it may import besides itself; "ground" is what stands loose in src/steersearch, and its corpus
ARROWS = {
    "ground": set(),
    "training": {"ground"},
    "runtime": {"ground"},
    "export": {"training", "runtime", "ground"},
    "integrations": {"runtime", "ground"},
    "cli": {"training", "export", "runtime", "integrations", "ground"},
}
# The rooms inside runtime, from the ground up, and what each may import besides itself and the ground.
RUNTIME = {
    "bundle": set(),
    "language": set(),
    "store": set(),
    "steering": {"bundle", "language"},
    "search": {"bundle", "store", "steering"},
    "ingest": {"bundle", "store"},
    "interpret": {"bundle", "steering", "search"},
    "maintenance": {"opening", "bundle", "store", "search"},
    "opening": {"bundle", "store", "search", "ingest"},
    "index": {"bundle", "language", "store", "steering", "search", "ingest", "maintenance", "opening"},
    "evaluate": {"bundle", "search", "index"},
    "agreement": {"bundle", "index", "evaluate"},
    "atlas": {"bundle", "index"},
    "audit": {"bundle", "steering", "index"},
}
DOOR = "steersearch"
"""The names that people type, from all rooms; `tests/test_front_door.py` sees that it imports them late."""
# What nothing of a room outside the package itself may import.
UPSTAIRS = {"runtime": "steersearch.runtime.interpret"}
# What opening an index and a boosted search never load.
NOT_AT_RUN_TIME = ("torch", "transformers", "onnx", "sentence_transformers", "optimum", "langchain_core")


def source_files():
    """Module name -> path; links for type checkers are left out."""
    found = {}
    for folder, name in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder)
            if any((ROOT / folder / parent).is_symlink() for parent in inside.parents):
                continue
            parts = inside.with_suffix("").parts
            found[".".join((name, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


FILES = source_files()


def imports_of(module, path):
    """(line, module) for every import of ours."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base.split(".")[0] != "steersearch":
                continue
            assert base in FILES, f"{path}:{node.lineno} imports {base}, which is not there"
            for alias in node.names:
                name = f"{base}.{alias.name}"
                assert base != DOOR or name in FILES or alias.name == "__version__", (
                    f"{path}:{node.lineno} imports {alias.name} by the front door: name its module"
                )
                yield node.lineno, name if name in FILES else base


ALL = sorted(
    {(module, *arrow) for module, path in FILES.items() if module != DOOR for arrow in imports_of(module, path)}
)


def room_of(module):
    second = [*module.split("."), ""][1]
    return second if second in ARROWS else "ground"


def told(arrows):
    where = {module: str(path.relative_to(ROOT)) for module, path in FILES.items()}
    return "\n" + "\n".join(f"{where[module]}:{line} imports {other}" for module, line, other in arrows)


def circles(modules, arrows):
    """Strongly connected components of more than one module, after Tarjan 1972."""
    below = {module: [] for module in modules}
    for module, _, other in arrows:
        if module in below and other in below and module != other:
            below[module].append(other)
    number, lowest, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in below[module]:
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in below:
        if module not in number:
            visit(module)
    return found


def test_every_room_is_read():
    rooms = {room: sum(room_of(module) == room for module in FILES) for room in ARROWS}
    assert all(count >= 5 for count in rooms.values()), rooms
    assert len(ALL) > 500


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_point_one_way(room):
    allowed = ARROWS[room] | {room}
    wrong = [arrow for arrow in ALL if room_of(arrow[0]) == room and room_of(arrow[2]) not in allowed]
    assert not wrong, told(wrong)


def test_every_room_of_the_runtime_is_in_the_table():
    assert {module.split(".")[2] for module in FILES if module.startswith("steersearch.runtime.")} == set(RUNTIME)


@pytest.mark.parametrize("room", RUNTIME)
def test_arrows_inside_the_runtime_point_down(room):
    def inner(module):
        parts = [*module.split("."), "", ""]
        return parts[2] if parts[1] == "runtime" else ""

    wrong = [arrow for arrow in ALL if inner(arrow[0]) == room and inner(arrow[2]) not in RUNTIME[room] | {room, ""}]
    assert not wrong, told(wrong)


@pytest.mark.parametrize("room", ARROWS)
def test_no_circles(room):
    found = circles([module for module in FILES if room_of(module) == room], ALL)
    inside = [arrow for arrow in ALL for circle in found if arrow[0] in circle and arrow[2] in circle]
    assert not found, f"{found}{told(inside)}"


@pytest.mark.parametrize("room", UPSTAIRS)
def test_nothing_below_imports_what_is_upstairs(room):
    def within(module):
        return f"{module}.".startswith(f"{UPSTAIRS[room]}.")

    wrong = [(m, line, other) for m, line, other in ALL if room_of(m) == room and within(other) and not within(m)]
    assert not wrong, told(wrong)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The modules of a process that opens an index over tests/data/tiny_bundle and searches it with a boost."""
    folder, bundle = tmp_path_factory.mktemp("imports") / "index", ROOT / "tests" / "data" / "tiny_bundle"
    made = f"with SteerableIndex.create({str(folder)!r}, {str(bundle)!r}) as index: index.add(['the moon', 'a ship'])"
    searched = (
        f"with SteerableIndex.open({str(folder)!r}) as index:\n"
        "    assert len(index.search('a star', 2, boost={'moon': 1.0})) == 2\n"
        "print(*sys.modules)"
    )
    for code in (made, searched):
        code = f"import sys\nfrom steersearch.runtime import SteerableIndex\n{code}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_search_loads_nothing_heavy(loaded):
    assert not [module for module in loaded if module.split(".")[0] in NOT_AT_RUN_TIME]


def test_a_search_loads_no_interpretation(loaded):
    assert not [module for module in loaded if module.startswith("steersearch.runtime.interpret")]
