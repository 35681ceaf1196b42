"""The names that people type: packages, methods with their parameters, scripts, commands and options.

Names may be added. One that goes or moves breaks somebody's code, so it is taken out here first, on purpose.
"""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import typer

from steersearch.cli import app, export_app

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and newer")
ROOT = Path(__file__).parent.parent
NEEDS = {
    "steersearch.training": "torch",
    "steersearch.export": "onnx",
    "steersearch.integrations.langchain": "langchain_core",
    "steersearch.integrations.engines.qdrant": "qdrant_client",
    "steersearch.integrations.ray": "ray",
}
# `__all__` of the packages
EXPORTED = {
    "steersearch.runtime": "Added Backend Boost Bundle Concept EmbeddingService Explanation ExternalEmbedder Feature "
    "Features Fusion Hit Hits IndexStats Key MemoryProfile Part Profile Request Sentence SteerableIndex SteeredQuery "
    "Steering Strength Verification View ViewName WordPart Words understand",
    "steersearch.noun_phrases": "NounPhrases Phrase",
    "steersearch.runtime.audit": "AuditReport Carrier Check Suspicion audit",
    "steersearch.runtime.interpret": "Entry Interpretation Neuron2Graph Passage Pattern interpret read_graph "
    "read_interpretation save",
    "steersearch.training": "Embedder SaeConfig SparseAutoencoder TrainConfig default_cache_dir embed_cached "
    "fit_embeddings train",
    "steersearch.export": "export_bundle export_pretrained load_pretrained pretrained_names",
    "steersearch.integrations.langchain": "SqliteRecordManager SteerableEmbeddings SteerableRetriever "
    "SteerableVectorStore SteeredStore concept_tools find_concepts_tool search_documents_tool "
    "vectors_from_store",
    "steersearch.vectors": "Vectors open_vectors",
    "steersearch.corpus": "Corpus Document python_documentation read_pairs read_qrels read_queries",
}
# What pages ask people to import that is in no `__all__`: docs/engines.md, docs/scale.md
IMPORTED = {
    "steersearch.integrations.engines.qdrant": "SteeredQdrant",
    "steersearch.integrations.ray": "embed_on_ray",
    "steersearch.runtime.ingest.merge": "shard_batches",
    "steersearch.runtime.atlas": "export_atlas",
    "steersearch": "__version__ Boost Bundle Concept Explanation Feature Features Hit Hits Key Profile Request "
    "SteerableIndex SteeredQuery Steering SteeringWarning SteersearchError Strength python_documentation understand",
}
# class -> method -> parameters, those that may be given without a name first and in this order
METHODS = {
    "SteerableIndex": {
        "add": "texts ids metadata embeddings progress",
        "add_from": "documents chunk_tokens overlap total progress",
        "close": "",
        "compact": "",
        "create": "path bundle backend",
        "delete": "ids",
        "documents": "",
        "explain": "query id words **steering",
        "explain_all": "query ids words **steering",
        "get": "ids",
        "merge": "shards progress",
        "open": "path bundle backend readonly profile threads",
        "resolve": "key",
        "sample": "limit",
        "save": "",
        "search": "query k steering boost clamp exclude blend keep protect understand filter view fusion text idf "
        "compare highlight",
        "stats": "",
        "steer": "query boost clamp exclude blend keep protect understand steering text",
        "update_metadata": "ids metadata replace",
        "vectors": "ids",
        "verify": "sample progress",
    },
    "Bundle": {
        "decode": "indices values",
        "embed": "texts progress",
        "embed_query": "text",
        "from_pretrained": "name revision out threads profile",
        "push_to_hub": "repo passages private revision message",
        "save_pretrained": "folder passages overwrite",
        "encode": "embeddings",
        "load": "path verify threads profile",
        "token_text": "token",
        "tokenise": "texts",
    },
    "Hits": {"to_dicts": "", "to_pandas": ""},
    "Concept": {
        "describe": "bundle strength limit",
        "features": "bundle",
        "from_examples": "more_like less_like name phrase",
        "from_json": "text bundle",
        "from_latents": "weights name",
        "from_text": "text",
        "load": "path bundle",
        "resolve": "bundle documents",
        "save": "path bundle",
        "to_json": "bundle",
    },
    "Profile": {
        "concept": "",
        "dislike": "document index",
        "forget_all": "",
        "like": "document index",
        "open": "path bundle half_life keep_texts clock",
        "remove": "feature",
        "reset": "feature",
        "save": "path",
        "set": "feature weight",
        "undo": "",
        "why": "feature",
    },
    "SteerableRetriever": {
        "open": "path bundle backend embeddings **fields",
        "over": "vectorstore bundle sample embeddings **fields",
    },
    "SteerableVectorStore": {
        "add_texts": "texts metadatas ids batch_size **unknown",
        "as_retriever": "**kwargs",
        "close": "",
        "delete": "ids **unknown",
        "from_texts": "texts embedding metadatas ids path bundle backend **unknown",
        "get_by_ids": "ids",
        "max_marginal_relevance_search": "query k fetch_k lambda_mult filter **steering",
        "max_marginal_relevance_search_by_vector": "embedding k fetch_k lambda_mult filter **steering",
        "query_vector": "text",
        "similarity_search": "query k filter **steering",
        "similarity_search_by_vector": "embedding k filter **steering",
        "similarity_search_with_score": "query k filter **steering",
        "similarity_search_with_score_by_vector": "embedding k filter **steering",
        "upsert": "items **unknown",
    },
}
FUNCTIONS = {
    "steersearch.training.train": "corpus embedder config training pairs cache_dir resume_path resume log_path "
    "progress",
    "steersearch.training.SparseAutoencoder.save": "path",
    "steersearch.training.SparseAutoencoder.load": "path",
    "steersearch.export.export_bundle": "ckpt out precision embedder via overwrite progress labels card",
    "steersearch.export.export_pretrained": "name out revision precision embedder via overwrite progress",
    "steersearch.training.SparseAutoencoder.from_pretrained": "name revision",
    "steersearch.training.SparseAutoencoder.save_pretrained": "folder stored card",
    "steersearch.training.SparseAutoencoder.push_to_hub": "repo stored card private revision message",
}
# The keywords behind `**steering`
STEERING = "boost clamp exclude remove blend keep protect steering"
ATTRIBUTES = {
    "Bundle": "features manifest path d_in n_latents k atoms b_dec",
    "SteerableIndex": "path bundle",
}
FIELDS = {
    "Hit": "rank id score text metadata rank_before moved_by words",
    "Part": "feature before after contribution steered",
    "Explanation": "id score parts rest terms words removed",
    "Steering": "boost clamp exclude blend keep protect remove",
    "SteeredQuery": "original vector boosted clamped text excluded blend request removed",
    "Concept": "name source weights more_like less_like phrase fit evidence model",
    "Feature": "id label density mean p95 max keywords examples score unclear",
}
RETRIEVER = "index k boost clamp keep protect filter view fusion include_scores include_explanations"
SCRIPTS = {"sae": "steersearch.cli:main", "sae-export": "steersearch.cli:main_export"}
# command -> arguments and options
COMMANDS = {
    "sae": "--install-completion --show-completion --version",
    "sae demo": "--out --embedder --steps --latents -k --overwrite --json",
    "sae train": (
        "--data --out --embedder --k --latents --steps --loss --pairs --depth --patience --metrics --seed "
        "--device --resume --cache --json"
    ),
    "sae pretrained": "",
    "sae pretrained list": "--json",
    "sae pretrained show": "name --json",
    "sae pretrained get": "repo --out --revision --json",
    "sae export": "--ckpt --pretrained --revision --out --precision --embedder --via --overwrite --json",
    "sae embed": (
        "path --data --bundle -b --out --shard --resume --threads --chunk-tokens --overlap --no-chunks "
        "--text-column --json"
    ),
    "sae search": (
        "query --index -i --bundle -b -k --boost --clamp --remove --like --unlike --keep --protect --save-concept "
        "--filter --view --fusion --idf --compare --highlight --profile --json"
    ),
    "sae explain": "query id --index -i --bundle -b --boost --clamp --keep --protect --words --profile --json",
    "sae eval": "--data --bundle -b --split --index --steering --judgments --fail-below --record --json",
    "sae audit": "--index -i --bundle -b --field --queries --out --json",
    "sae mcp": "--index -i --bundle -b --http --port --allow-write --profile",
    "sae studio": (
        "--index -i --bundle -b --port --host --token --allow-write --no-browser --export --ask --profile --queries"
    ),
    "sae index": "",
    "sae index build": (
        "path --data --bundle -b --out --index -i --backend --profile --chunk-tokens --overlap --no-chunks "
        "--text-column --json"
    ),
    "sae index verify": "--index -i --bundle -b --sample --json",
    "sae index compact": "--index -i --bundle -b --json",
    "sae index info": "--index -i --bundle -b --json",
    "sae index merge": "shards --index -i --bundle -b --backend --json",
    "sae features": "",
    "sae features label": (
        "--bundle -b --data --index -i --model --candidates --max-calls --max-tokens --timeout --quick --seed --json"
    ),
    "sae features list": "--bundle -b --by --unclear --clear --hidden --family -n --json",
    "sae features search": "phrase --like --data --bundle -b -n --json",
    "sae features show": "feature --bundle -b --json",
    "sae features similar": "feature --bundle -b -n --json",
    "sae features export": "feature --out -o --bundle -b --atlas --index -i --embeddings --no-embeddings --json",
    "sae features report": "--bundle -b --out -o --json",
    "sae features rename": "feature label --bundle -b --json",
    "sae features merge": "features --into --bundle -b --json",
    "sae features hide": "features --bundle -b --json",
    "sae features unhide": "features --bundle -b --json",
    "sae features note": "feature text --bundle -b --json",
    "sae features reset": "features --bundle -b --json",
    "sae features look": "words --bundle -b -n --json",
}


def module_of(name):
    assert importlib.util.find_spec(name), f"{name} is gone"
    for start, needed in NEEDS.items():
        if name.startswith(start):
            pytest.importorskip(needed)
    return importlib.import_module(name)


def class_of(name):
    places = ("steersearch.runtime", "steersearch.integrations.langchain")
    return next(getattr(module, name) for module in map(module_of, places) if hasattr(module, name))


def parameters_of(method):
    """Names, and those that may be given by position, in their order."""
    found = [p for p in inspect.signature(method).parameters.values() if p.name not in ("self", "cls")]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    by_place = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [stars.get(p.kind, "") + p.name for p in found], by_place


def check_parameters(method, expected):
    names, by_place = parameters_of(method)
    assert set(expected.split()) <= set(names)
    assert by_place == expected.split()[: len(by_place)]


def commands_of(command, words):
    options = [(p.opts + p.secondary_opts) if p.param_type_name == "option" else [p.name] for p in command.params]
    yield " ".join(words), {name for names in options for name in names}
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, [*words, name])


CLI = dict(commands_of(typer.main.get_command(app), ["sae"]))


@pytest.mark.parametrize("package", EXPORTED)
def test_all(package):
    module = module_of(package)
    assert set(module.__all__) >= set(EXPORTED[package].split())
    assert all(hasattr(module, name) for name in module.__all__)
    assert set(module.__all__) <= set(dir(module)), "completion and the reference list what `dir` gives"


def test_every_package_with_all_is_in_the_table():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {name for name in packages if hasattr(module_of(name), "__all__")}
    assert found == set(EXPORTED)


@pytest.mark.parametrize("place", IMPORTED)
def test_imported(place):
    assert all(hasattr(module_of(place), name) for name in IMPORTED[place].split())


@pytest.mark.parametrize("page", ["README.md", "docs/engines.md", "docs/scale.md"])
def test_what_a_page_imports(page):
    for place, names in re.findall(r"^from (steersearch[\w.]*) import ([\w, ]+)", (ROOT / page).read_text(), re.M):
        assert all(hasattr(module_of(place), name.strip()) for name in names.split(","))


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in METHODS for method in METHODS[name]])
def test_method(name, method):
    check_parameters(getattr(class_of(name), method), METHODS[name][method])


@pytest.mark.parametrize("path", FUNCTIONS)
def test_function(path):
    place, _, rest = path.removeprefix("steersearch.").partition(".")
    found = module_of(f"steersearch.{place}")
    for name in rest.split("."):
        found = getattr(found, name)
    check_parameters(found, FUNCTIONS[path])


def test_vector_store_and_retriever_are_made_with():
    check_parameters(class_of("SteerableVectorStore").__init__, "path bundle embedding backend")
    assert set(class_of("SteerableRetriever").model_fields) >= set(RETRIEVER.split())


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name):
    names = list(class_of(name).__dataclass_fields__)
    assert set(names) >= set(FIELDS[name].split())


def test_steering():
    request = importlib.import_module("steersearch.runtime.steering.request")
    assert set(request.SteeringArguments.__annotations__) == set(STEERING.split())
    assert request.SteeringArguments(boost={"a": 1.0}, exclude="b") == {"boost": {"a": 1.0}, "exclude": "b"}


def test_attributes(tmp_path):
    runtime = module_of("steersearch.runtime")
    bundle = runtime.Bundle.load(ROOT / "tests" / "data" / "tiny_bundle")
    with runtime.SteerableIndex.create(tmp_path / "index", bundle) as index:
        for thing in (bundle, index):
            assert all(hasattr(thing, name) for name in ATTRIBUTES[type(thing).__name__].split())


def test_scripts():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"] == SCRIPTS
    for place, _, name in (target.partition(":") for target in SCRIPTS.values()):
        assert callable(getattr(importlib.import_module(place), name))


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command):
    assert CLI[command] >= set(COMMANDS[command].split())


def test_the_script_is_the_command():
    (name, options), *none = commands_of(typer.main.get_command(export_app), ["sae-export"])
    assert (name, options, none) == ("sae-export", CLI["sae export"], [])
