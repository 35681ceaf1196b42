"""langchain-tests' standard suites, none removed: vector store (with a bundle and without) and embeddings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, VectorStoreIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from steersearch.integrations.langchain import SteerableEmbeddings, SteerableVectorStore
from steersearch.runtime.bundle.bundle import Bundle


class TestPlainStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:
        with SteerableVectorStore(tmp_path / "store", embedding=self.get_embeddings()) as store:
            yield store


class TestSteerableStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path, opened_bundle: Bundle) -> Iterator[VectorStore]:
        with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
            yield store


class _Embeddings:
    @pytest.fixture(autouse=True)
    def _bundle(self, opened_bundle: Bundle) -> None:
        self.bundle = opened_bundle

    @property
    def embeddings_class(self) -> type[SteerableEmbeddings]:
        return SteerableEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"bundle": self.bundle}


class TestEmbeddingsUnit(_Embeddings, EmbeddingsUnitTests):
    pass


class TestEmbeddings(_Embeddings, EmbeddingsIntegrationTests):
    pass
