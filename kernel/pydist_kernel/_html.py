"""A notebook as an HTML file that needs nothing from the network."""

# nbconvert annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from nbconvert import HTMLExporter

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["to_html"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_WIDGET_STATE = "widgets"

# The template of JupyterLab's look asks for require.js and MathJax in every document, and for the widget manager if
# there was a widget; each holds up a page that is opened offline. What this notebook does not use is left out, and what
# it does use (formulas) is asked for when the page is there already.
_TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js_requirejs -%}
{%- if resources.needs_require -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}
{%- if resources.needs_mermaid -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- block html_head_js_mathjax -%}
{%- if resources.needs_math -%}
<script type="text/x-mathjax-config">
MathJax.Hub.Config({
  tex2jax: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], displayMath: [["$$", "$$"], ["\\\\[", "\\\\]"]],
            processEscapes: true, processEnvironments: true},
  TeX: {equationNumbers: {autoNumber: "AMS", useLabelIds: true}},
  displayAlign: "center", messageStyle: "none", CommonHTML: {linebreaks: {automatic: true}}
});
</script>
<script>
if (navigator.onLine) {
  const script = document.createElement("script");
  script.src = "{{ resources.mathjax_url }}";
  document.head.append(script);
}
</script>
{%- endif -%}
{%- endblock -%}
"""

_MATH = re.compile(r"\$[^$]+\$|\\\(|\\\[|\\begin\{")
# Code of plotting libraries that loads itself through require.js.
_REQUIRE = re.compile(r"\brequire(?:js)?\s*(?:\(|\.config)|\bdefine\s*\(")


def to_html(notebook: NotebookNode, title: str) -> str:
    """Return the document; ``title`` is its name."""
    notebook = deepcopy(notebook)
    _use_fallbacks(notebook)
    log = logging.getLogger("pydist.run")
    log.setLevel(logging.ERROR)  # nbconvert warns of each figure that has no alternative text
    exporter = HTMLExporter(template_name="lab", raw_template=_TEMPLATE, log=log)
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}, **_needs(notebook)})
    return str(html)


def _use_fallbacks(notebook: NotebookNode) -> None:
    """Let every widget show the representation that needs no widget manager, which lies on a server elsewhere."""
    notebook.metadata.pop(_WIDGET_STATE, None)
    for bundle in _bundles(notebook):
        if len(bundle) > 1:
            bundle.pop(_WIDGET, None)


def _bundles(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield output["data"]


def _needs(notebook: NotebookNode) -> dict[str, bool]:
    """Say which of the libraries that the template loads from the network this notebook has a use for."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    scripts = []
    mermaid = False
    for bundle in _bundles(notebook):
        texts += [str(bundle[kind]) for kind in ("text/latex", "text/markdown") if kind in bundle]
        scripts.append(str(bundle.get("application/javascript", "")))
        scripts += [html for html in [str(bundle.get("text/html", ""))] if "<script" in html]
        mermaid = mermaid or "text/vnd.mermaid" in bundle
    return {
        "needs_math": any(_MATH.search(text) for text in texts),
        "needs_require": any(_REQUIRE.search(text) for text in scripts),
        "needs_mermaid": mermaid or any("```mermaid" in text for text in texts),
    }
