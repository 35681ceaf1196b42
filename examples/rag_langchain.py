"""A RAG chain whose retriever can be steered: the same question, answered from plain and from steered search.

    python examples/rag_langchain.py --index my-index "how do I read a file" --boost "compression=1"

Needs `pip install 'steersearch[langchain]'` and an index; `sae demo` makes one. A scripted model answers here: it cites
what it was given, so that one sees what steering changed. For a real one, `pip install langchain langchain-openai` and
add `--model openai:gpt-4o-mini`, or any other `provider:name` that LangChain's `init_chat_model` knows.
"""

import argparse
import re
import sys

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnablePassthrough

from steersearch.errors import SteersearchError
from steersearch.integrations.langchain import SteerableRetriever

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these documents and cite their ids.\n\n{context}\n\nQuestion: {question}"
)


class CitingModel(SimpleChatModel):
    """Stands in for a chat model: its answer is the beginning of every document in the prompt."""

    @property
    def _llm_type(self) -> str:
        return "citing"

    def _call(self, messages: list[BaseMessage], *args: object, **kwargs: object) -> str:
        cited = re.findall(r"^\[(.+?)\] (.*)$", messages[-1].text, flags=re.MULTILINE)
        return "\n".join(f"  [{name}] {text[:90]}" for name, text in cited)


def chat_model(name: str | None) -> BaseChatModel:
    """Return the scripted model, or a real one by its `provider:name`."""
    if name is None:
        return CitingModel()
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        sys.exit("--model needs langchain and the package of the provider: pip install langchain langchain-openai")
    return init_chat_model(name)


def in_prompt(documents: list[Document]) -> str:
    """Return one line per document: its id and its text, no metadata."""
    return "\n".join(f"[{doc.id}] {' '.join(doc.page_content.split())[:1000]}" for doc in documents)


def concept(text: str) -> tuple[str, float | str]:
    """Take `CONCEPT=STRENGTH` apart: a latent id, a label or any phrase, and a number, auto or -auto."""
    name, _, strength = text.rpartition("=")
    return name, strength if strength in ("auto", "-auto") else float(strength)


parser = argparse.ArgumentParser(description="The same question, answered from plain and from steered search.")
parser.add_argument("question")
parser.add_argument("--index", required=True, help="folder made by `sae index` or `sae demo`")
parser.add_argument("--boost", type=concept, action="append", default=[], metavar="CONCEPT=STRENGTH")
parser.add_argument("--model", metavar="PROVIDER:NAME", help="a real chat model instead of the scripted one")
args = parser.parse_args()
model, boost = chat_model(args.model), dict(args.boost)
try:
    retriever = SteerableRetriever.open(args.index, k=4)
    steerable = retriever.configurable_fields(boost=ConfigurableField(id="boost"))
    chain = {"context": steerable | in_prompt, "question": RunnablePassthrough()} | PROMPT | model | StrOutputParser()
    print("plain", chain.invoke(args.question), sep="\n")
    # The boost travels in the config, past everything in between, to the retriever inside the chain.
    if boost:
        print(f"boost {boost}", chain.invoke(args.question, config={"configurable": {"boost": boost}}), sep="\n")
    retriever.index.close()
except SteersearchError as error:
    sys.exit(str(error))
