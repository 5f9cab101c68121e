"""Settings of the site: ``uv run --group docs sphinx-build -W docs docs/_build/html``."""

import os
import sys
from pathlib import Path

import bayeslr as bl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
# pages are executed: no progress bars, and the same cores as everything else that runs
os.environ.setdefault("TQDM_DISABLE", "1")
# pages fit the same runs: what one has compiled serves the next
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE / "_build" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

project = "bayeslr"
author = "the bayeslr developers"
copyright = author  # noqa: A001
version = release = bl.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
    "screens",
]
exclude_patterns = ["_build", "_extensions", "_templates", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
root_doc = "index"
# pages of decisions join the table of contents when they are there
suppress_warnings = ["mystnb.unknown_mime_type", "toc.empty_glob"]

# pages: MyST Markdown, those with code cells are executed at every build
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True

# the reference follows the stubs and ``__all__`` of the rooms: a new public name is listed without anybody's doing
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
front_door = {name for name in bl.__all__ if name != "__version__"}
autosummary_context = {"front_door": front_door}

html_theme = "furo"
html_title = f"bayeslr {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    # system fonts: the site asks no other host for anything
    "light_css_variables": {"color-brand-primary": "#0b5c8f", "color-brand-content": "#0b5c8f"},
    "dark_css_variables": {"color-brand-primary": "#6db8e8", "color-brand-content": "#6db8e8"},
}
html_math_renderer = "mathml"
copybutton_exclude = ".linenos, .gp, .go"
