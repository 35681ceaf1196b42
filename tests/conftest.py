"""Shared fixtures: a real but tiny embedder, checkpoint, bundle and index, made once per session in a few seconds.

Heavy libraries are imported inside the fixtures, so that tests of the runtime alone do not pay for torch.
"""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import settings

from .tiny_model import build_tiny_embedder

# Before torch is loaded: on matrices this small a second thread only waits, 16 s instead of 0.6 s on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is not a bug; and what CI says must not depend on luck.
settings.register_profile("steersearch", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("steersearch")

if TYPE_CHECKING:
    from steersearch.runtime.bundle.bundle import Bundle
    from steersearch.runtime.index import SteerableIndex

# The tiny embedder knows the commonest words of Python's documentation; other words are spelled letter by letter.
TOPICS = {
    "numbers": """
        An integer is a whole number of unlimited size.
        Adding an integer and a float gives a float.
        The power operator raises a number to an exponent.
        Division of two integers gives a float number.
        Floor division rounds the result down to an integer.
        The modulo operator gives the remainder of a division.
        Complex numbers have a real part and an imaginary part.
        Bitwise operators work on the bits of an integer.
        Shifting an integer to the left doubles the number.
        A float has limited precision and may round the result.
        Comparing numbers of different type compares the values.
        The absolute value of a negative number is positive.
        Unary minus gives the negative of a number.
        Rounding a float gives the nearest integer value.
        The sum of a list of numbers is a number.
    """,
    "classes": """
        A class definition creates a new class object.
        An instance of a class has its own attributes.
        The base class is searched when an attribute is missing.
        A method is a function that is an attribute of a class.
        A metaclass controls how a class is created.
        A property looks like an attribute and calls a method.
        A subclass may override a method of its base class.
        The constructor of a class makes a new instance.
        Multiple inheritance searches base classes in order.
        A class attribute is shared by every instance.
        Slots reserve space for the attributes of an instance.
        A descriptor controls access to an attribute of its owner class.
        Special methods let a class define operators.
        A static method needs no instance of the class.
        The type of an instance is its class.
    """,
    "exceptions": """
        An exception is raised when an error occurs.
        The try statement handles an exception in an except clause.
        A finally clause runs whether an exception is raised or not.
        The raise statement raises an exception again.
        An exception that is not handled ends the program with an error.
        The traceback shows where the error occurred.
        An except clause without an expression matches any exception.
        The exception has a cause and a context.
        An assertion raises an error when the condition is false.
        A handler may raise a different exception from the cause.
        An exception group holds several exceptions at once.
        The else clause runs when no exception was raised.
        A warning is not an error until it is raised as an exception.
        The error message says what the handler should know.
        Leaving the try block by an error runs the finally clause.
    """,
    "modules": """
        The import statement finds a module and loads it.
        A package is a module that contains other modules.
        The import system searches the path for a module.
        A loader executes the module in a new namespace.
        A finder returns the spec of a module by its name.
        Relative imports start from the current package.
        The module cache holds every module that was imported.
        A namespace package has no file of its own.
        Importing a name from a module binds the name.
        The path of a package lists where its modules are found.
        Reloading a module executes its source file again.
        The name of the main module is set at startup.
        An import hook is called before the path is searched.
        A module file is compiled before it is imported.
        A package may import its modules with a star import.
    """,
}


class TopicTexts(NamedTuple):
    """Sixty sentences on four topics; an id is the topic and a number, ``"numbers-3"``."""

    ids: list[str]
    texts: list[str]
    metadata: list[dict[str, Any]]


@pytest.fixture(scope="session")
def topic_texts() -> TopicTexts:
    ids, texts, metadata = [], [], []
    for topic, block in TOPICS.items():
        for number, text in enumerate(line.strip() for line in block.strip().splitlines()):
            words = text.rstrip(".").lower().split()
            ids.append(f"{topic}-{number}")
            texts.append(text)
            metadata.append(
                {
                    "topic": topic,
                    "number": number,
                    "words": words[:3],
                    "source": {"file": f"{topic}.txt", "line": number + 1, "tags": [topic, "reference"]},
                }
            )
    return TopicTexts(ids, texts, metadata)


@pytest.fixture(scope="session")
def tiny_embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_embedder(tmp_path_factory.mktemp("tiny") / "embedder", d=32)


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, tiny_embedder_folder: Path, topic_texts: TopicTexts
) -> Path:
    from steersearch.training.config import SaeConfig, TrainConfig
    from steersearch.training.fit import train

    folder = tmp_path_factory.mktemp("tiny")
    sae = train(
        topic_texts.texts,
        tiny_embedder_folder,
        SaeConfig(n_latents=64, k=8),
        TrainConfig(steps=60, device="cpu"),
        cache_dir=folder / "cache",
    )
    sae.save(folder / "model.pt")
    return folder / "model.pt"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The exported folder. Shared: a test that alters it works on a copy."""
    from steersearch.export.bundle import export_bundle

    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    with warnings.catch_warnings():  # tests/export is strict about what the exporters say; other tests need a bundle
        warnings.simplefilter("ignore")
        export_bundle(tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def opened_bundle(tiny_bundle: Path) -> Bundle:
    """`tiny_bundle`, opened once."""
    from steersearch.runtime.bundle.bundle import Bundle

    return Bundle.load(tiny_bundle, threads=1)


@pytest.fixture
def tiny_index(opened_bundle: Bundle, topic_texts: TopicTexts, tmp_path: Path) -> Iterator[SteerableIndex]:
    """An open index of the sixty sentences, new for every test."""
    from steersearch.runtime.index import SteerableIndex

    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
        yield index


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of a size like "1m" and gives its folder; skips where that is not allowed."""
    mounted = []

    def mount(size):
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            pytest.skip("mounting a tmpfs needs root")
        folder = tmp_path / "tiny"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)
