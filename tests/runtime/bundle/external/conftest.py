import pytest

from steersearch.runtime.bundle.bundle import Bundle

from ....bare_bundle import WHOLE, make_bare_bundle


@pytest.fixture(scope="session")
def whole():
    """The bundle with its embedder, which is asked from outside."""
    return Bundle.load(WHOLE, threads=1)


@pytest.fixture(scope="session")
def bare_folder(tmp_path_factory):
    """The same model without its embedder."""
    return make_bare_bundle(tmp_path_factory.mktemp("bare") / "bundle")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Vectors of embedders from outside are kept here."""
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
