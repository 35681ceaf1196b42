r"""One question, answered from two perspectives by steering alone, with the documents that changed.

    python examples/two_perspectives.py --data debates --bundle bundle "Should we build new nuclear power plants?" \
        --perspective "money and costs" --perspective "the environment"

The prompt, the model and the index are the same both times; only the boost of the retriever differs. Perspectives are
topics or aspects of a question (its costs, its law, its environment): those an embedder tells apart. "For" and
"against" it does not, so they change nothing worth showing (docs/steering.md).

Needs `pip install 'steersearch[langchain]'`. `--data` is a folder of your own texts, or whatever `sae index` takes, and
is kept in `--index` for the next time; without it an index that is there is used, `demo/index` of `sae demo` by
default. A scripted model answers unless you have a real one: `--url http://localhost:11434/v1 --model llama3.2` asks
any server that speaks OpenAI's protocol (Ollama, llama.cpp, vLLM; `pip install langchain-openai`).
"""

import argparse
import re
import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnablePassthrough

from steersearch.errors import SteersearchError
from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime import SteerableIndex

PROMPT = ChatPromptTemplate.from_template(
    "Answer the question in three sentences, from these documents alone, and cite their ids in brackets.\n\n"
    "{context}\n\nQuestion: {question}"
)


class QuotingModel(SimpleChatModel):
    """Stands in for a chat model: quotes the first sentences of the first three documents in the prompt."""

    @property
    def _llm_type(self) -> str:
        return "quoting"

    def _call(self, messages: list[BaseMessage], *args: object, **kwargs: object) -> str:
        documents = re.findall(r"^\[(.+?)\] (.*)$", messages[-1].text, flags=re.MULTILINE)
        return " ".join(f"{text[:120].rpartition(' ')[0]} … [{name}]" for name, text in documents[:3])


def chat_model(url: str | None, name: str | None) -> BaseChatModel:
    """Return the scripted model, or the one behind a local server."""
    if url is None:
        return QuotingModel()
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        sys.exit("--url needs langchain-openai: pip install langchain-openai")
    return ChatOpenAI(base_url=url, model=name or "default", api_key="none", temperature=0)


def in_prompt(documents: list[Document]) -> str:
    """Return one line per document: its id and its text, no metadata."""
    return "\n".join(f"[{doc.id}] {' '.join(doc.page_content.split())[:1000]}" for doc in documents)


def indexed(data: Path | None, bundle: Path, folder: Path) -> SteerableIndex:
    """Return the index with the documents in it; known ones are not embedded again."""
    if data is None:
        return SteerableIndex.open(folder)
    index = SteerableIndex.open(folder, bundle=bundle) if folder.exists() else SteerableIndex.create(folder, bundle)
    index.add_from(data)
    return index


parser = argparse.ArgumentParser(description="One question, answered from two perspectives by steering alone.")
parser.add_argument("question", nargs="?", default="How do I read data?")
parser.add_argument("--perspective", action="append", metavar="PHRASE", help="a topic or aspect; give two")
parser.add_argument("--data", type=Path, help="a folder of texts, or anything else that `sae index` takes")
parser.add_argument("--bundle", type=Path, default=Path("demo/bundle"), help="what embeds --data")
parser.add_argument("--index", type=Path, help="demo/index by default; with --data perspectives-index")
parser.add_argument("--strength", type=float, default=1.0, help="1: a perspective counts as much as the question")
parser.add_argument("--url", help="of a local chat model that speaks OpenAI's protocol")
parser.add_argument("--model", help="its name")
parser.add_argument("-k", type=int, default=4, help="documents per answer")
args = parser.parse_args()
perspectives = args.perspective or ["compressed archives", "network sockets"]
model = chat_model(args.url, args.model)

try:
    index = indexed(args.data, args.bundle, args.index or Path("perspectives-index" if args.data else "demo/index"))
    retriever = SteerableRetriever(index=index, k=args.k)
    steerable = retriever.configurable_fields(boost=ConfigurableField(id="boost"))
    chain = {"context": steerable | in_prompt, "question": RunnablePassthrough()} | PROMPT | model | StrOutputParser()
    print(f"{args.question}\n\nplain\n  {chain.invoke(args.question)}")
    found = {}
    for perspective in perspectives:
        boost = {perspective: args.strength}
        answer = chain.invoke(args.question, config={"configurable": {"boost": boost}})
        print(f"\n{perspective} (boost {args.strength:.2f})\n  {answer}")
        found[perspective] = index.search(args.question, args.k, boost=boost, compare=True)
    for perspective, hits in found.items():
        others = {hit.id for name, seen in found.items() if name != perspective for hit in seen}
        print(f"\nonly from the perspective of {perspective}:")
        for hit in hits:
            if hit.id not in others:
                why = ", ".join(str(part.feature) for part in hit.moved_by[:2])
                before = hit.rank_before or "beyond 100"
                print(f"  {hit.rank}. (plain {before}) {hit.id}  {hit.text[:70]!r}\n     by {why}")
    index.close()
except SteersearchError as error:
    sys.exit(str(error))
