"""No code of an embedder's folder runs: every folder here would write a file called `ran`."""

import ast
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from steersearch.errors import CheckpointError, DataError
from steersearch.export.bundle import export_bundle
from steersearch.training.embedding import Embedder, resolve_embedder
from steersearch.training.sae import SparseAutoencoder
from steersearch.training.sentence_model import MODULES, check_folder, open_model

CODE = """
from pathlib import Path
from torch import nn
Path({marker!r}).write_text("code of the folder ran")
class Evil(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
    load = from_pretrained = classmethod(lambda cls, *args, **kwargs: cls())
"""


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "ran"


@pytest.fixture
def folder(tiny_embedder_folder: Path, tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny embedder with `evil.py` beside it, which is in the folder and on the path of imports too."""
    copy = Path(shutil.copytree(tiny_embedder_folder, tmp_path / "e"))
    (copy / "evil.py").write_text(CODE.format(marker=str(marker)))
    monkeypatch.syspath_prepend(copy)
    return copy


def change(path: Path, **values) -> None:
    old = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(old | values))


def with_module(folder: Path, kind: str, path: str = "") -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"idx": 3, "name": "3", "path": path, "type": kind}]))


DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
HUNGRY = {"type": "Split", "pattern": {"Regex": "(?=(.+)+\\d)"}, "behavior": "Isolated", "invert": False}
"""A step of a tokenizer whose expression tries every way to cut a text."""
CASES = {
    "a class of a file in the folder": lambda f: with_module(f, "evil.Evil"),
    "of a name that begins like ours": lambda f: with_module(f, "sentence_transformers_evil.Pooling"),
    "of a name that ends like ours": lambda f: with_module(f, "evil.Pooling"),
    "another class of sentence-transformers": lambda f: with_module(f, "sentence_transformers.SentenceTransformer"),
    "a module that imports others": lambda f: with_module(f, "sentence_transformers.models.Router"),
    "a tokenizer class": lambda f: with_module(f, "sentence_transformers.models.WordEmbeddings"),
    "no text": lambda f: with_module(f, ["evil.Evil"]),  # type: ignore[arg-type]
    "a path out of the folder": lambda f: with_module(f, "sentence_transformers.models.Normalize", "../other"),
    "an absolute path": lambda f: with_module(f, "sentence_transformers.models.Normalize", "/tmp"),
    "an activation": lambda f: (
        with_module(f, "sentence_transformers.models.Dense", "3_Dense"),
        change(f / "3_Dense" / "config.json", in_features=32, out_features=32, activation_function="evil.Evil"),
    ),
    "weights with code": lambda f: change(f / "sentence_bert_config.json", model_args={"weights_only": False}),
    "remote code": lambda f: change(f / "sentence_bert_config.json", model_args={"trust_remote_code": True}),
    "a file of an older name": lambda f: change(f / "sentence_roberta_config.json", config_args={"code_revision": "x"}),
    "another tokenizer": lambda f: change(f / "sentence_bert_config.json", tokenizer_name_or_path="evil/one"),
    "another method": lambda f: change(
        f / "sentence_bert_config.json", modality_config={"text": {"method": "push_to_hub"}}
    ),
    "a kernel of the hub": lambda f: change(f / "config.json", attn_implementation="evil/kernel"),
    "a nested kernel": lambda f: change(f / "config.json", text_config={"_attn_implementation": {"": "evil/kernel"}}),
    "an adapter": lambda f: change(f / "adapter_config.json", auto_mapping={"parent_library": "evil"}),
    "weights of another folder": lambda f: change(f / "config.json", transformers_weights="../other.safetensors"),
    "a list of weights of another folder": lambda f: change(
        f / "model.safetensors.index.json", metadata={}, weight_map={"a": "../other.safetensors"}
    ),
    "a quantiser": lambda f: change(f / "config.json", quantization_config={"quant_method": "bitsandbytes"}),
    "a quantiser of a part": lambda f: change(f / "config.json", text_config={"quantization_config": {"x": 1}}),
    "ten million layers": lambda f: change(f / "config.json", num_hidden_layers=10_000_000),
    "two modules of one name": lambda f: (f / "modules.json").write_text(
        json.dumps([module | {"name": "0"} for module in json.loads((f / "modules.json").read_text())])
    ),
    "no list": lambda f: (f / "modules.json").write_text("{}"),
    "nested too deep": lambda f: (f / "modules.json").write_text("[" * 100_000),
}


def test_sentence_transformers_alone_would_run_the_code(folder, marker):
    """Otherwise the tests below could not fail."""
    from sentence_transformers import SentenceTransformer

    with_module(folder, "evil.Evil")
    SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert marker.exists()


def test_one_function_opens_embedders():
    """Whatever reads a model's folder with another library would run its code."""
    root, found = Path(__file__).parents[2], set()
    for room in ("training", "export", "runtime", "integrations", "cli", "src/steersearch"):
        for path in (root / room).rglob("*.py"):
            if any(parent.is_symlink() for parent in path.parents):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args:
                    name = ast.unparse(node.func).split(".")[-1]
                    if name in ("SentenceTransformer", "from_pretrained", "pipeline", "import_from_string"):
                        found.add((str(path.relative_to(root)), name))
    # The first two are our own `from_pretrained`, of bundles and autoencoders. The last reads the weights again of a
    # model that is open, so of a folder that was checked.
    assert found == {
        ("cli/pretrained.py", "from_pretrained"),
        ("export/pretrained.py", "from_pretrained"),
        ("training/sentence_model.py", "SentenceTransformer"),
        ("training/sentence_weights.py", "from_pretrained"),
    }


@pytest.mark.parametrize("case", CASES)
def test_a_folder_that_names_code_is_refused(case, folder, marker):
    CASES[case](folder)
    with pytest.raises(DataError) as refused:
        open_model(folder, device="cpu")
    assert str(folder) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["bert", "not-in-transformers"])
def test_custom_code_of_transformers_is_not_run(kind, folder, marker):
    """A model type that transformers has is loaded with its own code; any other is refused."""
    auto_map = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    change(folder / "config.json", model_type=kind, auto_map=auto_map)
    change(folder / "tokenizer_config.json", auto_map=auto_map)
    if kind == "bert":
        assert Embedder(folder, device="cpu").d_in == 32
    else:
        with pytest.raises(DataError, match="made of code in its folder, and steersearch runs no code"):
            open_model(folder, device="cpu")
    assert not marker.exists()


def test_pickled_weights_run_no_code(folder, marker):
    import torch

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(marker)!r}, 'w')",))

    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be loaded as a sentence-transformers model"):
        Embedder(folder, device="cpu")
    assert not marker.exists()


def test_every_way_to_an_embedder_is_checked(folder, marker, tiny_checkpoint, tmp_path, monkeypatch):
    with_module(folder, "evil.Evil")
    sae = SparseAutoencoder.load(tiny_checkpoint)
    monkeypatch.chdir(tmp_path)
    for use in (
        lambda: Embedder("e", device="cpu"),
        lambda: export_bundle(sae, tmp_path / "bundle", embedder="e"),
        lambda: export_bundle(sae, tmp_path / "bundle", embedder=folder),
    ):
        with pytest.raises(DataError, match=r"names the module 'evil\.Evil'; known are Transformer, .*runs no code"):
            use()
    for path, name in ((str(folder), "x"), ("e", "x"), ("x", "e"), ("./e", "./e"), ("//e", "e")):
        sae.info.embedder |= {"path": path, "id": name}
        with pytest.raises(DataError, match=r"names the module|give its folder with --embedder"):
            export_bundle(sae, tmp_path / "bundle")
    assert not marker.exists()


def test_a_relative_path_of_a_checkpoint_is_not_used(tiny_checkpoint, tiny_embedder_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_embedder_folder.parent)
    sae = SparseAutoencoder.load(tiny_checkpoint)
    name = tiny_embedder_folder.name
    for path in (name, f"./{name}"):
        sae.info.embedder |= {"path": path, "id": name}
        with pytest.raises(DataError, match=rf"trained over {name} in .*: give its folder with --embedder"):
            export_bundle(sae, tmp_path / "bundle")


@pytest.mark.parametrize(
    "wrong", [{"path": 3}, {"id": None}, {"max_length": "64"}, {"query_prefix": 1}, {"sha256": ["a"]}]
)
def test_facts_of_an_embedder_have_their_types(wrong, tiny_checkpoint, tmp_path):
    sae = SparseAutoencoder.load(tiny_checkpoint)
    sae.info.embedder |= wrong
    sae.save(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=f"{next(iter(wrong))} of the embedder is"):
        SparseAutoencoder.load(tmp_path / "model.pt")


def test_known_modules_are_opened_under_their_old_and_new_names(folder):
    check_folder(folder)
    places = ("models", "models.Pooling", "base.modules.pooling", "sentence_transformer.modules.pooling")
    for place in places:
        modules = [{"type": f"sentence_transformers.{place}.{name}", "path": ""} for name in MODULES if name != "Dense"]
        (folder / "modules.json").write_text(json.dumps(modules))
        check_folder(folder)
    settings = {"transformer_task": "feature-extraction", "modality_config": {"text": {"method": "forward"}}}
    change(folder / "sentence_bert_config.json", model_args={"torch_dtype": "float32"}, **settings)
    check_folder(folder)


def test_a_dense_module_works(folder):
    import torch
    from safetensors.torch import save_file

    with_module(folder, "sentence_transformers.models.Dense", "3_Dense")
    activation = "torch.nn.modules.linear.Identity"
    change(folder / "3_Dense" / "config.json", in_features=32, out_features=8, activation_function=activation)
    save_file(
        {"linear.weight": torch.eye(8, 32), "linear.bias": torch.zeros(8)}, folder / "3_Dense" / "model.safetensors"
    )
    assert Embedder(folder, device="cpu").d_in == 8


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 128}, 128),
        ({"model_type": "roberta", "max_position_embeddings": 130, "pad_token_id": 1}, 128),
        ({"model_type": "mpnet", "max_position_embeddings": 130, "pad_token_id": 1}, 128),
        ({"max_position_embeddings": 512}, 500),
        ({"max_position_embeddings": None}, 500),
    ],
)
def test_no_more_tokens_than_positions(config, expected, folder, caplog):
    change(folder / "sentence_bert_config.json", max_seq_length=500)
    change(folder / "config.json", **config)
    assert resolve_embedder(folder).max_length == expected
    warned = f"{folder} has max_seq_length 500 but positions for {expected} tokens: it reads {expected}"
    assert (warned in caplog.text) == (expected < 500)


def test_a_setting_without_room_for_a_word(folder):
    change(folder / "sentence_bert_config.json", max_seq_length=2)
    with pytest.raises(DataError, match="max_seq_length 2: it must be at least 3"):
        resolve_embedder(folder)


def test_a_type_that_is_no_text_is_named(folder):
    change(folder / "config.json", model_type=["bert"])
    with pytest.raises(DataError, match="cannot be loaded as a sentence-transformers model"):
        Embedder(folder, device="cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize("name", ["config.json", "README.md", "config_sentence_transformers.json", "1_Pooling/x"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_would_be_read_for_ever_is_refused(name, kind, folder):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name) if kind == "pipe" else (folder / name).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=f"{name} is (not a file|a device or a pipe)"):
        Embedder(folder, device="cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_is_no_weights(folder):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(DataError, match="has no weights"):
        resolve_embedder(folder)


@pytest.mark.parametrize(
    ("change_of", "why"),
    [
        (lambda body: body["model"].update(vocab={}), r"the text 'width' \(WordPiece error: Missing \[UNK\]"),
        # A panic in Rust, which is no Exception.
        (lambda body: body.update(pre_tokenizer=HUNGRY), r"a text of 64 tokens, .*\(Onig: Regex search error"),
    ],
)
def test_a_tokenizer_that_gives_up_is_tried_before_training(change_of, why, folder):
    body = json.loads((folder / "tokenizer.json").read_text())
    change_of(body)
    (folder / "tokenizer.json").write_text(json.dumps(body))
    with pytest.raises(DataError, match=f"cannot embed {why}"):
        Embedder(folder, device="cpu")


def test_a_long_text_is_tried_before_training(folder):
    source = resolve_embedder(folder)
    assert Embedder(replace(source, max_length=128), device="cpu").max_length == 128
    with pytest.raises(DataError, match=r"cannot embed a text of 129 tokens, its max_seq_length .*: lower"):
        Embedder(replace(source, max_length=129), device="cpu")


def test_replacements_that_multiply_are_refused(folder):
    change(folder / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [DOUBLING] * 40})
    with pytest.raises(
        DataError, match=r"tokenizer\.json cannot be used \(its replacements make a text 1\.22e\+19 times"
    ):
        open_model(folder, device="cpu")


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
@pytest.mark.parametrize(
    ("lost", "refused"),
    [
        (
            lambda name: name.startswith("encoder.layer.1"),
            r"lacks 16 weights of its model, such as encoder\.layer\.1\.",
        ),
        (lambda name: name == "embeddings.LayerNorm.bias", r"lacks 1 weights of its model, such as embeddings\."),
        # No module reads the pooler.
        (lambda name: name.startswith("pooler."), None),
    ],
)
def test_weights_that_are_missing(lost, refused, kind, folder):
    import torch
    from safetensors.torch import load_file, save_file

    before = Embedder(folder, device="cpu").embed(["a storm"])
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not lost(name)}
    assert len(kept) < len(weights)
    if kind == "safetensors":
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
    else:
        (folder / "model.safetensors").unlink()
        torch.save(kept, folder / "pytorch_model.bin")
    if refused:
        with pytest.raises(DataError, match=refused):
            Embedder(folder, device="cpu")
    else:
        assert Embedder(folder, device="cpu").embed(["a storm"]) == pytest.approx(before)


@pytest.mark.parametrize(
    "renamed", [lambda name: f"bert.{name}", lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma")]
)
def test_weights_under_other_names_are_not_missing(renamed, folder):
    from safetensors.torch import load_file, save_file

    before = Embedder(folder, device="cpu").embed(["a storm"])
    weights = load_file(folder / "model.safetensors")
    save_file(
        {renamed(name): tensor for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    assert Embedder(folder, device="cpu").embed(["a storm"]) == pytest.approx(before)


def test_tokens_that_the_model_has_no_vector_for(folder):
    """Only a text with such a word would show it."""
    body = json.loads((folder / "tokenizer.json").read_text())
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    body["model"]["vocab"]["zyzzyva"] = rows
    (folder / "tokenizer.json").write_text(json.dumps(body))
    with pytest.raises(DataError, match=rf"the id {rows} \(of 'zyzzyva'\), but its model has {rows} tokens"):
        open_model(folder, device="cpu")
