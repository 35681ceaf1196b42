"""The studio: a page over one index, on which people search, steer and see why (extra ``studio``).

`Studio` is the index and what is kept beside it, `answers` has what pages are told, `app` makes
an ASGI application of them, `guard` says who may ask, and `serve` listens. ``page/`` is the page, which needs no build
and no network. What pages send and get is written down in ``docs/reference/studio.md``.

Suggested reading order: `requests` (what a page asks), `studio` (what becomes of it), `search`, `actions`, `app`.
"""
