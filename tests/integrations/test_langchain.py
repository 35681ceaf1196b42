def test_x(tiny_bundle, opened_bundle, topic_texts):
    from pydoc_data.topics import topics
    import re
    vocab=set(open(tiny_bundle.parent.parent/"tiny0/embedder/vocab.txt").read().split())
    print({w for t in topic_texts.texts for w in re.findall("[a-z]+", t.lower())}-vocab)
    e=opened_bundle.embed(topic_texts.texts); s=e@e.T
    import numpy as np
    b=s.reshape(4,15,4,15).mean((1,3)); print(b.round(3)); print(len(topic_texts.ids))
    for f in opened_bundle.features: print(f, f.density, round(f.p95,3), f.keywords[:3])
