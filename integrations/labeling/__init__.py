"""Labels for features by a chat model (extra ``langchain``): it proposes several, and the best on held-out texts wins.

Read `run` first, then `prompt`; `client` calls the model within a budget, and `cache` keeps its answers.
"""

from ...extras import require

require("langchain", "langchain_core")
