"""Sphinx configuration. The pages load nothing from outside."""

from __future__ import annotations

from daisy_core import __version__

project = "Daisy Suite"
author = "the Daisy Suite developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "Daisy Suite"
html_theme_options = {"show_version_warning_banner": False, "navigation_with_keys": False}
html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
