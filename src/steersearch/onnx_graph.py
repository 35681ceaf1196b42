"""What an ONNX file names, read before onnxruntime opens it, without the package `onnx`.

A graph may come from somebody else. onnxruntime reads weights from whatever file beside the graph it names, and
allocates whatever a node asks for. Only the fields that say so are read here; protobuf skips the rest by its length.
This is not a sandbox: a graph that computes a large size from its input is not recognised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_CONSTANT = 2**26
"""Numbers that a node may make of constants alone; 256 MB in float32."""
MAX_DEPTH = 16
"""Graphs inside graphs."""
MAX_BYTES = 2**31
"""Of a protobuf file."""
DOMAINS = ("", "ai.onnx", "com.microsoft")
_MAKERS = frozenset({"ConstantOfShape", "Expand", "Tile", "Range", "Pad", "OneHot", "RandomNormal", "RandomUniform"})
"""Operators whose result is as large as a number in their input says."""
_ENDLESS = frozenset({"Loop", "Scan", "SequenceMap"})
"""Operators that repeat a graph, as often as a number says; no embedder has one."""

# Message -> field number -> the message in it, or the name under which the value is kept.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {1: ".input", 2: ".output", 4: ".op", 5: "attribute", 7: ".domain"},
    "attribute": {
        3: ".ints",
        5: "tensor",
        6: "graph",
        8: ".ints",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {2: ".type", 5: ".int32", 7: ".int64", 8: ".name", 9: ".raw", 13: "external", 14: ".location"},
    "external": {1: ".key", 2: ".value"},
}
_NUMBERS = frozenset({".type", ".int32", ".int64", ".ints", ".location"})
_SMALL = 64
"""Bytes of a constant that can be the size of something: eight dimensions."""


@dataclass
class _Message:
    kind: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    inside: list[_Message] = field(default_factory=list)

    def text(self, name: str) -> str:
        return bytes(self.values.get(name, [b""])[-1]).decode("utf-8", "replace")


def check_graph(path: Path, weights: Sequence[str] = ()) -> None:
    """Check what a graph names; `weights` are the files beside it that it may read.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no ONNX file, or it has functions of its own, an operator of an unknown domain or one that
            repeats a graph, reads another file, or makes a tensor of more than `LARGEST_CONSTANT` numbers.
    """
    if path.stat().st_size >= MAX_BYTES:
        raise ValueError("it has 2 GB or more")
    try:
        content = memoryview(path.read_bytes())
        model = _read(content, "model", 0)
        sizes = {name: numbers for name, numbers in _constants(model)}
    except (ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"it is not an ONNX graph ({error})") from error
    for message in _all(model):
        _check(message, weights, sizes)


def _check(message: _Message, weights: Sequence[str], sizes: dict[str, list[int]]) -> None:
    if message.kind in ("function", "training"):
        raise ValueError(f"it has a {message.kind} of its own, which no embedder needs")
    if message.kind == "tensor":
        places = [each.text(".value") for each in message.inside if each.text(".key") == "location"]
        if (message.values.get(".location", [0])[-1] or places) and not (places and set(places) <= set(weights)):
            raise ValueError(f"it reads the file {str(places)[1:81]}, which is not listed")
    if message.kind == "node":
        operator, domain = message.text(".op"), message.text(".domain")
        if operator in _ENDLESS or domain not in DOMAINS:
            raise ValueError(f"it has the operator {domain[:40]}:{operator[:40]}, which no embedder needs")
        if operator in _MAKERS:
            given = [sizes.get(bytes(name).decode("utf-8", "replace"), []) for name in message.values.get(".input", [])]
            given += [each.values.get(".ints", []) for each in message.inside]
            largest = max((math.prod(abs(n) or 1 for n in numbers) for numbers in given), default=0)
            if largest > LARGEST_CONSTANT:
                raise ValueError(f"it makes a tensor of {largest:.2g} numbers out of nothing")


def _constants(model: _Message) -> Iterator[tuple[str, list[int]]]:
    """Yield every constant that is a few whole numbers, with its name: initializers, and the outputs of nodes."""
    for message in _all(model):
        if message.kind == "tensor" and ".name" in message.values:
            yield message.text(".name"), _whole(message)
        elif message.kind == "node" and message.text(".op") == "Constant":
            numbers = [n for each in message.inside for n in each.values.get(".ints", [])]
            numbers += [n for each in _all(message) if each.kind == "tensor" for n in _whole(each)]
            yield message.text(".output"), numbers


def _whole(tensor: _Message) -> list[int]:
    kind = {6: np.int32, 7: np.int64}.get(tensor.values.get(".type", [0])[-1])
    raw = bytes(tensor.values.get(".raw", [b""])[-1])
    if kind is not None and raw and len(raw) <= _SMALL and len(raw) % np.dtype(kind).itemsize == 0:
        return [int(n) for n in np.frombuffer(raw, np.dtype(kind).newbyteorder("<"))]
    return [int(n) for n in tensor.values.get(".int64", []) + tensor.values.get(".int32", [])][:_SMALL]


def _all(message: _Message) -> Iterator[_Message]:
    waiting = [message]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += each.inside


def _read(content: memoryview, kind: str, depth: int) -> _Message:
    """Read one message: its known fields, and the messages in it."""
    if depth > MAX_DEPTH * 4:  # a graph in a graph is four messages deep
        raise ValueError(f"more than {MAX_DEPTH} graphs inside each other")
    message, known, at = _Message(kind), _FIELDS.get(kind, {}), 0
    while at < len(content):
        tag, at = _varint(content, at)
        value: Any = None
        match tag & 7:
            case 0:
                value, at = _varint(content, at)
            case 1:
                at += 8
            case 2:
                size, at = _varint(content, at)
                value, at = content[at : at + size], at + size
            case 5:
                at += 4
            case other:
                raise ValueError(f"wire type {other} at byte {at}")
        if at > len(content):
            raise ValueError("it is cut short")
        name = known.get(tag >> 3)
        if name is None or value is None:
            continue
        if name in _NUMBERS:
            numbers = _packed(value) if isinstance(value, memoryview) else [_signed(value)]
            message.values.setdefault(name, []).extend(numbers)
        elif isinstance(value, memoryview):
            if name.startswith("."):
                message.values.setdefault(name, []).append(value)
            else:
                message.inside.append(_read(value, name, depth + 1))
    return message


def _packed(content: memoryview) -> list[int]:
    """Read packed numbers; none of a list that is too long to be a size."""
    numbers, at = [], 0
    while at < len(content) and len(content) <= _SMALL * 10:
        number, at = _varint(content, at)
        numbers.append(_signed(number))
    return numbers


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
