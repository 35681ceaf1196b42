"""A studio over the sixty sentences, asked as a page asks it."""

import warnings

import pytest

from ...cli.conftest import sae_here  # noqa: F401

pytest.importorskip("starlette")
pytest.importorskip("httpx")

with warnings.catch_warnings():
    # httpx is what a client of starlette's tests was made for; newer ones say so.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from steersearch.integrations.studio.app import make_app
from steersearch.integrations.studio.studio import Studio

ADDRESS = "http://127.0.0.1:8766"


@pytest.fixture
def studio(tiny_index):
    return Studio(tiny_index, allow_write=True)


@pytest.fixture
def client(studio):
    return TestClient(make_app(studio), base_url=ADDRESS, raise_server_exceptions=False)


@pytest.fixture
def reader(tiny_index):
    return TestClient(make_app(Studio(tiny_index)), base_url=ADDRESS, raise_server_exceptions=False)
