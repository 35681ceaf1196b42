"""What only a fresh interpreter can show: nothing heavy is imported, a missing extra is one line, the example runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from steersearch.runtime.index import SteerableIndex

from ..conftest import PHRASE, QUERY, found

HEAVY = ["torch", "transformers", "sentence_transformers", "onnx", "optimum"]
EXAMPLE = Path(__file__).parents[3] / "examples" / "rag_langchain.py"

SEARCH = f"""
import sys
heavy = {HEAVY}
if sys.argv[2] == "blocked":
    sys.modules.update(dict.fromkeys(heavy))
from steersearch.integrations.langchain import SteerableRetriever
retriever = SteerableRetriever.open(sys.argv[1], boost={{{PHRASE!r}: 2.0}}, include_explanations=True)
print(*(document.id for document in retriever.invoke({QUERY!r})))
retriever.index.close()
assert not [name for name in heavy if sys.modules.get(name)], "imported"
"""

EXAMPLE_WITHOUT_LANGCHAIN = """
import runpy, sys
sys.modules["langchain"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("heavy", ["blocked", "installed"])
def test_without_torch(tiny_index: SteerableIndex, heavy: str) -> None:
    done = run("-c", SEARCH, tiny_index.path, heavy)
    assert (done.stdout.split(), done.stderr) == (found(tiny_index, boost={PHRASE: 2.0}), "")


OTHERS = {
    "llama_index": "SteerableRetriever(index, boost=boost).retrieve(query)",
    "haystack": "SteerableRetriever(index, boost=boost).run(query)['documents']",
}
OTHER = """
import sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
sys.modules.update(dict.fromkeys({heavy}))
from steersearch.runtime import SteerableIndex
from steersearch.integrations.{name} import SteerableRetriever
boost, query = {boost}, {query!r}
with SteerableIndex.open(sys.argv[1], readonly=True) as index:
    print(*(getattr(found, "node_id", None) or found.id for found in {call}))
"""


@pytest.mark.parametrize("name", OTHERS)
def test_other_frameworks_without_torch(tiny_index: SteerableIndex, name: str) -> None:
    pytest.importorskip(name)
    tiny_index.save()
    code = OTHER.format(heavy=HEAVY, name=name, boost={PHRASE: 2.0}, query=QUERY, call=OTHERS[name])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_index.path)], capture_output=True, text=True, timeout=120, check=False
    )
    k = 10 if name == "haystack" else 4
    assert done.stdout.split() == found(tiny_index, k=k, boost={PHRASE: 2.0}), done.stderr


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("langchain", "langchain_core", "langchain"),
        ("llama_index", "llama_index", "llamaindex"),
        ("haystack", "haystack", "haystack"),
    ],
)
def test_missing_extra(name: str, module: str, extra: str) -> None:
    done = run("-c", f"import sys; sys.modules[{module!r}] = None; import steersearch.integrations.{name}")
    assert done.returncode == 1
    assert f"MissingExtraError: {module} is not installed: pip install 'steersearch[{extra}]'" in done.stderr


def test_example(tiny_index: SteerableIndex) -> None:
    done = run(EXAMPLE, "--index", tiny_index.path, QUERY, "--boost", f"{PHRASE}=2", "--boost", "f3=-1")
    assert (done.returncode, done.stderr) == (0, "")
    plain, steered = done.stdout.split("boost")
    for answer, boost in ((plain, {}), (steered, {PHRASE: 2.0, "f3": -1.0})):
        hits = tiny_index.search(QUERY, 4, boost=boost)
        assert [line.strip() for line in answer.splitlines()[1:]] == [f"[{hit.id}] {hit.text}" for hit in hits]
    assert plain.splitlines()[1:] != steered.splitlines()[1:]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--index", "nowhere"], 1, "nowhere is not an index"),
        (["--index", "INDEX", "--boost", "f99999=1"], 1, "there is no latent 'f99999'"),
        (["--index", "INDEX", "--boost", "loud"], 2, "argument --boost"),
        (["--index", "INDEX", "--model", "openai:gpt-4o-mini"], 1, "pip install langchain langchain-openai"),
    ],
    ids=str,
)
def test_example_used_wrongly(tiny_index: SteerableIndex, arguments: list[str], code: int, said: str) -> None:
    arguments = [str(tiny_index.path) if argument == "INDEX" else argument for argument in arguments]
    done = run("-c", EXAMPLE_WITHOUT_LANGCHAIN, EXAMPLE, *arguments, QUERY)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
