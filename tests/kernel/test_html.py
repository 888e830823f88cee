"""The exported page: whole without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from pydist_kernel._html import to_html

if TYPE_CHECKING:
    import nbformat

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
VIEW = "application/vnd.jupyter.widget-view+json"


def page(*bundles: dict[str, Any], markdown: str = "# Title", **metadata: Any) -> str:
    outputs = [new_output("display_data", data=data) for data in bundles]  # type: ignore[no-untyped-call, unused-ignore]
    cells = [
        new_markdown_cell(markdown),  # type: ignore[no-untyped-call, unused-ignore]
        new_code_cell("1", outputs=outputs),  # type: ignore[no-untyped-call, unused-ignore]
    ]
    return to_html(new_notebook(cells=cells, metadata=metadata), "title")  # type: ignore[no-untyped-call, unused-ignore]


def test_a_page_asks_for_nothing_that_its_notebook_does_not_use() -> None:
    html = page({"image/png": PIXEL, "text/plain": "figure"}, {"text/html": "<progress max=3 value=3></progress>"})
    assert "cdnjs" not in html
    assert "unpkg" not in html
    assert "<title>title</title>" in html
    assert PIXEL in html
    assert "<progress" in html


@pytest.mark.parametrize("markdown", ["$x^2$", "$$x$$", "\\(x\\)", "\\begin{align}x\\end{align}"])
def test_formulas_are_drawn_where_there_is_a_network(markdown: str) -> None:
    html = page(markdown=markdown)
    assert "mathjax" in html
    # It must not hold the page up, and not be asked for without a network.
    assert '<script src="https://cdnjs' not in html
    assert "navigator.onLine" in html


def test_a_price_is_no_formula() -> None:
    assert "mathjax" not in page(markdown="It costs $3.")


def test_a_plot_that_loads_itself_by_require_gets_it() -> None:
    assert "require.min.js" in page({"text/html": "<script>require(['x'], draw)</script>"})
    assert "require.min.js" not in page({"text/html": "<p>I require (a lot)</p>"})


def test_a_widget_shows_what_needs_no_widget_manager() -> None:
    state = {"application/vnd.jupyter.widget-state+json": {"state": {"1": {}}, "version_major": 2, "version_minor": 0}}
    bundle = {VIEW: {"model_id": "1"}, "text/html": "<table><tr><td>final</td></tr></table>", "text/plain": "final"}
    html = page(bundle, widgets=state)
    assert "<td>final</td>" in html
    assert "widget-view" not in html
    assert "unpkg" not in html


def test_the_notebook_itself_stays_as_it_is() -> None:
    bundle = {VIEW: {"model_id": "1"}, "text/plain": "x"}
    output = new_output("display_data", data=bundle)  # type: ignore[no-untyped-call, unused-ignore]
    cell = new_code_cell("1", outputs=[output])  # type: ignore[no-untyped-call, unused-ignore]
    notebook: nbformat.NotebookNode = new_notebook(cells=[cell])  # type: ignore[no-untyped-call, unused-ignore]
    to_html(notebook, "title")
    assert VIEW in notebook.cells[0].outputs[0].data


@pytest.mark.browser
@pytest.mark.slow
def test_chromium_draws_it_without_a_network(tmp_path: Path, chromium: str) -> None:
    from playwright.sync_api import Route, sync_playwright

    path = tmp_path / "page.html"
    path.write_text(
        page(
            {"image/png": PIXEL, "text/plain": "figure"},
            {"text/html": "<progress max=3 value=3></progress>"},
            {VIEW: {"model_id": "1"}, "text/html": "<table><tr><td>worker 2</td></tr></table>"},
        )
    )
    asked: list[str] = []
    complaints: list[str] = []

    def admit(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        seen = browser.new_page()
        seen.route("**/*", admit)
        seen.on("pageerror", lambda error: complaints.append(str(error)))
        seen.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        seen.goto(path.as_uri())
        image = "document.querySelector('img').complete && document.querySelector('img').naturalWidth"
        assert seen.evaluate(image) == 1
        assert seen.locator("progress").is_visible()
        assert seen.get_by_text("worker 2").is_visible()
        browser.close()
    assert (asked, complaints) == ([], [])
