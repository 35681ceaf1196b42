"""Makes tests/data/tiny_bundle, a complete bundle of manifest format 1, without torch: python tests/make_tiny_bundle.py

The folder is checked in and is not to be made again: that these very bytes are still read is what it is for. A later
format gets a folder of its own.

Weights are small multiples of powers of two, so that sums of them are exact in float32, in any order and on any
processor. For the same reason the encoder rounds its input to 1/4096, and the embedder adds up where others average:
the unit vector is the same.
"""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

FOLDER = Path(__file__).parent / "data" / "tiny_bundle"
TOPICS = """moon planet star rocket orbit telescope
piano guitar violin singer concert melody
bread cheese apple soup kitchen recipe
ship harbor whale island storm sailor
python module class function error file
football tennis runner stadium coach medal
doctor hospital vaccine heart medicine nurse
rose tree soil seed flower bee"""
COMMON = (
    "the a of in and on with for to is by near at from new old big small about how text what this it something that"
)
D_IN, K, MAX_LENGTH, UNLABELLED, DEAD = 16, 6, 32, (45, 46, 47), 47


def main():
    chance = random.Random(0)
    content, common = TOPICS.split(), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COMMON.split()]
    atoms = np.zeros((len(content), D_IN), np.float32)  # four entries of +-1/2: unit length, exactly
    for latent, topic in enumerate(np.repeat(range(8), 6)):
        home = [2 * topic, 2 * topic + 1]
        away = chance.sample([d for d in range(D_IN) if d not in home], 2)
        atoms[latent, home], atoms[latent, away] = 0.5, [chance.choice((-0.5, 0.5)) for _ in away]
    noise = np.array([[chance.randint(-6, 6) for _ in range(D_IN)] for _ in [*common, *content]], np.float32) / 64
    table = noise + np.vstack([np.zeros((len(common), D_IN), np.float32), atoms])
    b_dec = np.array([chance.randint(-4, 4) for _ in range(D_IN)], np.float32) / 64
    bias = -np.arange(len(content), dtype=np.float32) / 4096 - atoms @ b_dec  # every one different: no ties
    bias[DEAD] = -4
    FOLDER.mkdir(parents=True)
    graph(
        "embedder",
        {"input_ids": ("I", "batch", "tokens"), "attention_mask": ("I", "batch", "tokens")},
        {"sentence_embedding": ("F", "batch", D_IN)},
        {"table": table, "last": np.array([2]), "one": np.array([1])},
        """
        Gather table input_ids > rows; Cast attention_mask > mask; Unsqueeze mask last > column
        Mul rows column > kept; ReduceSum:0 kept one > sum; Mul sum sum > squares
        ReduceSum squares one > square; Sqrt square > length
        Div sum length > sentence_embedding""",
    )
    graph(
        "encoder",
        {"embeddings": ("F", "batch", D_IN)},
        {"sae_indices": ("I", "batch", K), "sae_values": ("F", "batch", K)},
        {"W_enc": atoms.T, "bias": bias, "grid": np.float32(4096), "k": np.array([K])},
        """
        Mul embeddings grid > fine; Round fine > whole; Div whole grid > x; MatMul x W_enc > product
        Add product bias > pre_acts; TopK pre_acts k > best sae_indices; Relu best > sae_values""",
    )
    code = ("batch", "active")
    graph(
        "decoder",
        {"sae_indices": ("I", *code), "sae_values": ("F", *code)},
        {"reconstruction": ("F", "batch", D_IN)},
        {"W_dec": atoms, "b_dec": b_dec, "one": np.array([1])},
        """
        Gather W_dec sae_indices > rows; Unsqueeze sae_values one > values; MatMul values rows > products
        Squeeze products one > sum; Add sum b_dec > reconstruction""",
    )
    write_tokenizer([*common, *content])
    write_features(content, chance)
    (FOLDER / "LICENSES").write_text("Made by tests/make_tiny_bundle.py for tests. Public domain (CC0-1.0).\n")
    write_manifest(len(content))


def graph(name, inputs, outputs, constants, steps):
    """One graph from lines of `Operator input ... > output ...`."""
    types = {"F": TensorProto.FLOAT, "I": TensorProto.INT64}
    nodes = []
    for step in steps.strip().replace("\n", ";").split(";"):
        (operator, *taken), made = step.split(">")[0].split(), step.split(">")[1].split()
        operator, _, option = operator.partition(":")
        options = {"Cast": {"to": 1}, "ReduceSum": {"keepdims": 1 - (option == "0")}}.get(operator, {})
        nodes.append(helper.make_node(operator, taken, made, **options))
    infos = [[helper.make_tensor_value_info(n, types[t], s) for n, (t, *s) in x.items()] for x in (inputs, outputs)]
    weights = [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in constants.items()]
    made = helper.make_graph(nodes, name, *infos, weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, FOLDER / f"{name}.onnx")


def write_tokenizer(words):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(FOLDER / "tokenizer.json"))


def write_features(content, chance):
    """Statistics over 600 random texts of two or three words of one topic and one of another."""
    topics = [line.split() for line in TOPICS.splitlines()]
    texts = [
        " ".join([*chance.sample(topics[i % 8], chance.randint(2, 3)), chance.choice(content)]) for i in range(600)
    ]
    rows = np.vstack([run("embedder", *ids_of(text))[0] for text in texts])
    indices, values = run("encoder", rows)
    latents = []
    for latent in range(len(content)):
        rowids, places = np.nonzero((indices == latent) & (values > 0))
        acts = values[rowids, places] if len(rowids) else np.zeros(1, np.float32)
        examples = [texts[rowids[i]] for i in np.argsort(-acts, kind="stable")[:3]] if len(rowids) else []
        figures = {"mean": acts.mean(), "p95": np.round(np.percentile(acts, 95) * 64) / 64, "max": acts.max()}
        latents.append(
            {
                "id": latent,
                "label": None if latent in UNLABELLED else content[latent],
                "density": len(rowids) / len(texts),
                **{name: float(value) for name, value in figures.items()},
                "keywords": [] if latent == DEAD else [content[latent]],
                "examples": examples,
            }
        )
    mean = (np.round(rows.mean(0) * 1024) / 1024).tolist()
    reference = {"name": "random words", "n_documents": len(texts), "mean": mean}
    features = {"format_version": 1, "n_latents": len(content), "reference": reference, "latents": latents}
    (FOLDER / "features.json").write_text(json.dumps(features, separators=(",", ":")) + "\n")


def ids_of(text):
    ids = np.array([Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text).ids], np.int64)
    return ids, np.ones_like(ids)


def run(name, *values):
    session = ort.InferenceSession(FOLDER / f"{name}.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: value for i, value in zip(session.get_inputs(), values, strict=True)})


def write_manifest(n_latents):
    files = {p.name: {"sha256": sha256(p.read_bytes()), "bytes": p.stat().st_size} for p in sorted(FOLDER.iterdir())}
    manifest = {
        "steersearch_version": "0.1.0",
        "d_in": D_IN,
        "n_latents": n_latents,
        "k": K,
        "pooling": "mean",
        "max_length": MAX_LENGTH,
        "precision": "fp32",
        "batch_invariant": True,
        "embedder": {"id": "tests/tiny", "revision": None, "sha256": None},
        "files": files,
        "parity": {"texts": 0},
        "opset": 17,
        "min_onnxruntime": "1.20",
        "format_version": 1,
    }
    manifest["manifest_sha256"] = sha256(json.dumps(manifest, sort_keys=True).encode())
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
