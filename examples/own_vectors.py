r"""Steer a vector store that somebody filled with the vectors of a paid service; nothing in it is embedded again.

    python examples/own_vectors.py "how do I make a name" --url https://api.openai.com/v1 \
        --model text-embedding-3-small --data notes.txt --boost "an exception is raised"

Needs `pip install 'steersearch[train,export,langchain]' langchain-openai`, and OPENAI_API_KEY. Without a service:
`python -m benchmarks.embedding_service --bundle bundle` puts the embedder of a bundle behind the same protocol, and
`--url http://127.0.0.1:8080/v1`. The store is LangChain's in memory; Chroma, FAISS, Qdrant and pgvector work alike.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings

from steersearch.corpus import Corpus
from steersearch.errors import SteersearchError
from steersearch.export import export_bundle
from steersearch.integrations.langchain import SteerableRetriever, vectors_from_store
from steersearch.training import SaeConfig, TrainConfig, train

parser = argparse.ArgumentParser(description="Steer a store of vectors that are there already.")
parser.add_argument("question")
parser.add_argument("--url", required=True, help="the service, as https://api.openai.com/v1")
parser.add_argument("--model", required=True, help="the model that makes the vectors")
parser.add_argument("--data", required=True, help="documents: what `sae index` takes")
parser.add_argument("--boost", required=True, help="a phrase or label to steer by")
parser.add_argument("--latents", type=int, default=2048)
parser.add_argument("--steps", type=int, default=1000)
args = parser.parse_args()
embeddings = OpenAIEmbeddings(
    base_url=args.url,
    model=args.model,
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
    check_embedding_ctx_length=False,  # send texts, which every such service takes, and not OpenAI's tokens
)
try:
    # Long ago, and by somebody else: the store is filled.
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(id=each.id, page_content=each.text) for each in Corpus.open(args.data)])
    # Train on what the store holds; `embedder=` embeds queries made from the documents, short and once.
    sae = train(
        vectors=vectors_from_store(store),
        embedder=embeddings,
        embedder_name=args.model,
        config=SaeConfig(n_latents=args.latents, k=16),
        training=TrainConfig(steps=args.steps),
    )
    with tempfile.TemporaryDirectory() as folder:
        export_bundle(sae, Path(folder) / "bundle")
        # The bundle has no embedder: the store's own embeds the question and the phrase.
        retriever = SteerableRetriever.over(store, Path(folder) / "bundle", k=4)
        print(
            "plain",
            *(f"  [{found.id}] {found.page_content[:90]}" for found in retriever.invoke(args.question)),
            sep="\n",
        )
        steered = retriever.invoke(args.question, boost={args.boost: 1.0})
        print(f"boost {args.boost}", *(f"  [{found.id}] {found.page_content[:90]}" for found in steered), sep="\n")
except SteersearchError as error:
    sys.exit(str(error))
