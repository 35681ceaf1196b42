"""Documents of other libraries, above all LangChain's loaders and text splitters, by their attributes alone."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..errors import DataError
from .readers import Row


def read_objects(items: Iterable[object]) -> Iterator[Row]:
    """Yield one row per text or document in memory.

    Args:
        items: Strings, whose id is their position from 0; or objects with `page_content`, `metadata` and `id`, as
            LangChain's loaders and text splitters give. One without an id gets its `source` and its number among the
            documents of that source, ``notes.md#2``; without a source, a checksum of what it holds.

    Raises:
        DataError: An item is neither.
    """
    numbers: Counter[str] = Counter()
    for position, item in enumerate(items):
        if isinstance(item, str):
            yield Row(str(position), item)
            continue
        text, metadata = getattr(item, "page_content", None), getattr(item, "metadata", None)
        if not isinstance(text, str) or not isinstance(metadata, Mapping):
            kind = type(item).__name__
            raise DataError(f"item {position} of the texts is a {kind}: expected a string or a document of LangChain")
        yield Row(_id_of(item, text, metadata, numbers), text, metadata=metadata)


def _id_of(item: object, text: str, metadata: Mapping[str, object], numbers: Counter[str]) -> str:
    id = getattr(item, "id", None)
    if id is not None:
        return str(id)
    source = metadata.get("source")
    if isinstance(source, str) and source:
        numbers[source] += 1
        return f"{source}#{numbers[source]}"
    content = json.dumps([text, metadata], sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]
