"""How people type our names: mypy reads this file, nobody runs it. A line that ends in the word for it is refused."""

from collections.abc import Mapping

from steersearch import Boost, Bundle, Concept, Hits, Profile, SteerableIndex, SteerableRetriever, Steering, understand

bundle = Bundle.load("bundle")
concept, profile = Concept.from_text("a phrase"), Profile(bundle)
index = SteerableIndex.open("index")

boost: Boost = {concept: 1.0, "b": "auto"}
of_words: Boost = {"b": 1}
of_latents: Boost = {412: "-auto", "f3": 2}
of_all: Boost = {concept: 1, profile: 2.5, 3: 1, "d": "auto"}
alone: Boost = profile
strengths: dict[str, float] = {"a": 1.0}
narrower: Boost = strengths
weights: Mapping[int | str, int] = {1: 1}
read: Boost = weights

hits: Hits = index.search("a query", 5, boost=boost)
first: str = hits[0].text
few: Hits = hits[:3]
index.search("a query", boost={concept: 1.0, "b": "auto"}, exclude=[concept, "c"])
index.explain("a query", hits[0].id, boost=strengths)
index.steer("a query", strengths, exclude="c")
Steering.of(boost=strengths)
request = understand("cafés, but not loud")
index.search(request.query, boost=request.boost, exclude=request.exclude)
retriever = SteerableRetriever.open("index", k=4, boost=strengths, filter={"year": 2020}, tags=["mine"])
retriever = SteerableRetriever.open("index", boost={concept: 1.0, "b": "auto"}, view="hybrid", fusion={"dense": 1.0})

wrong: Boost = {"a": "automatic"}  # error
half: Boost = {1.5: 1.0}  # error
listed: Boost = ["a"]  # error
index.search("a query", boost={"a": None})  # error
index.search("a query", kk=4)  # error
SteerableRetriever.open("index", kk=4)  # error
SteerableIndex.open("index", backends="exact")  # error
