"""How the documentation site is built: `make docs`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from repository import absent  # noqa: E402

from steersearch import __version__  # noqa: E402  so that the site and the package have one number

# Importing a framework to read its docstrings must not reach for the network.
for offline in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.setdefault(offline, "1")

project = "steersearch"
author = "the steersearch authors"
project_copyright = "Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "commands", "public_api", "repository"]
exclude_patterns = ["_build", "_ext", *(f"{page}.md" for page in absent())]
nitpicky = True
nitpick_ignore_regex = [
    # A single backtick in a docstring is code. It links where it names something public, and is no promise to.
    (r"py:obj", r".*"),
    # Types of other projects, and of ours that are not public: shown by their name, without a link.
    (r"py:(class|data|exc)", r"(?!steersearch\.).*"),
    (r"py:(class|data)", r"steersearch\..*\.\w+"),
]
default_role = "py:obj"

html_theme = "furo"
html_title = f"steersearch {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # tables of figures begin with a heading of any level
highlight_language = "default"  # Python where it is Python
smartquotes_action = "q"  # and no dashes, since options begin with two of them
pygments_style = "tango"
pygments_dark_style = "monokai"

python_use_unqualified_type_names = True
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {
    "members": True,
    # Methods of ours that a class inherits are its own to a reader; those of a framework are in the framework's pages.
    "inherited-members": "object,dict,Module,BaseModel,Serializable,OSError,ImportError",
    "exclude-members": "model_config,model_post_init,model_fields,model_computed_fields",
}
autodoc_type_aliases = {
    name: name
    for name in (
        *("Boost", "Key", "Strength", "View", "ViewName", "Fusion", "Backend", "Profile", "MemoryProfile", "Steering"),
        *("Sample", "Source"),
        *("FloatArray", "IntArray", "WideArray", "Vector", "VectorOf", "Progress", "Loss", "Activation", "Precision"),
    )
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
