"""A JupyterLab of our own and a Chromium that looks at it.

    with Lab(folder, chromium) as lab, lab.notebook("1 + 1", "2 + 2") as notebook:
        notebook.run_all()
        notebook.wait_for_cell(1)

Nothing outside the server is reachable from the page. What it asked for in vain, and what it complained of, is a
failure at the end of the block.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import nbformat.v4

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page

__all__ = ["Lab", "Notebook", "open_page"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
BOOT = 90  # seconds; a small machine that runs other tests beside this one takes 20
SLOW = 60_000  # ms


@contextlib.contextmanager
def open_page(
    chromium: str,
    allowed: tuple[str, ...],
    *,
    refused: list[str],
    complaints: list[str],
    size: tuple[int, int] = (1200, 1000),
) -> Iterator[Page]:
    """Give an empty page that reaches only addresses with these beginnings; note what it asked for in vain."""
    from playwright.sync_api import Route, sync_playwright

    def admit(route: Route) -> None:
        if route.request.url.startswith(allowed):
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            context = browser.new_context(viewport={"width": size[0], "height": size[1]})
            context.route("**/*", admit)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
            yield page
        finally:
            browser.close()


def is_complaint(said: ConsoleMessage) -> bool:
    """Tell an error from what JupyterLab says of itself when a page is left while it asks the debugger."""
    return said.type == "error" and not said.text.startswith("Could not restore the debugger state")


class Lab:
    """A JupyterLab server on a folder, with settings and runtime files of its own."""

    def __init__(self, folder: Path, chromium: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._chromium = chromium
        self.refused: list[str] = []
        self.complaints: list[str] = []
        self.url = ""
        self._token = secrets.token_hex(16)
        home = folder / ".lab"
        self._log = home / "log"
        self._runtime = home / "runtime"
        places = {
            "JUPYTER_CONFIG_DIR": home / "config",
            "JUPYTER_DATA_DIR": home / "data",
            "JUPYTER_RUNTIME_DIR": self._runtime,
            "JUPYTERLAB_SETTINGS_DIR": home / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
            "IPYTHONDIR": home / "ipython",
        }
        for place in places.values():
            place.mkdir(parents=True)
        self._environment = {
            **os.environ,
            **{name: str(place) for name, place in places.items()},
            **(environment or {}),
        }
        # No questions about news and updates in front of the notebook.
        quiet = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        quiet.parent.mkdir(parents=True)
        quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")

    def __enter__(self) -> Self:
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            f"--ServerApp.root_dir={self.folder}",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
            f"--IdentityProvider.token={self._token}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_up()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @contextlib.contextmanager
    def notebook(self, *sources: str, size: tuple[int, int] = (1200, 1000)) -> Iterator[Notebook]:
        """Give a notebook with these code cells, open in a new browser; its kernel ends with the block."""
        written: Any = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources],
            metadata={"kernelspec": {"name": "pydist", "display_name": "Python 3 (pydist)", "language": "python"}},
        )
        path = self.folder / f"{uuid.uuid4().hex[:8]}.ipynb"
        nbformat.write(written, path)
        self.refused.clear()
        self.complaints.clear()
        try:
            with self.page(size) as page:
                yield self.open(page, path)
        finally:
            self._end_kernels()
        assert not self.refused, self.refused
        assert not self.complaints, self.complaints

    @contextlib.contextmanager
    def page(self, size: tuple[int, int] = (1200, 1000)) -> Iterator[Page]:
        """Give an empty page of a new browser."""
        allowed = (self.url, "data:", "blob:")
        with open_page(self._chromium, allowed, refused=self.refused, complaints=self.complaints, size=size) as page:
            yield page

    def open(self, page: Page, path: Path) -> Notebook:
        """Open a notebook of the folder and wait for its kernel."""
        page.goto(f"{self.url}lab/tree/{path.name}?reset&token={self._token}", timeout=SLOW)
        notebook = Notebook(page, path)
        notebook.wait_for_kernel()
        return notebook

    def _end_kernels(self) -> None:
        for kernel in json.load(self._ask("api/kernels")):
            self._ask(f"api/kernels/{kernel['id']}", "DELETE").close()

    def _ask(self, path: str, method: str = "GET") -> HTTPResponse:
        headers = {"Authorization": f"token {self._token}"}
        answer: HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers=headers, method=method), timeout=BOOT
        )
        return answer

    def _wait_until_up(self) -> None:
        end = time.monotonic() + BOOT
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            # The server chose its port; it writes it down before it listens.
            for written in self._runtime.glob("jpserver-*.json"):
                with contextlib.suppress(OSError, ValueError):
                    self.url = json.loads(written.read_text(encoding="utf-8"))["url"]
                    self._ask("api/status").close()
                    return
            # There is no event to wait for: the other side is a process that is still starting.
            time.sleep(0.05)
        raise RuntimeError(f"JupyterLab did not start:\n{self._log.read_text(encoding='utf-8')[-3000:]}")

    def _stop(self) -> None:
        self._process.terminate()  # it ends its kernels first
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Notebook:
    """The notebook in front. Cells are counted from 0, Markdown ones too."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def wait_for_kernel(self) -> None:
        """Wait until a kernel is there and idle."""
        self.page.wait_for_function(
            """() => {
                const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
                return session?.session?.kernel?.status === 'idle' && !session.pendingKernelName;
            }""",
            timeout=SLOW,
        )

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Execute a command of JupyterLab and wait until it is done."""
        self.page.evaluate(
            "([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)", [name, arguments or {}]
        )

    def run_all(self) -> None:
        """Run all cells; does not wait for them."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")

    def run(self, *cells: int) -> None:
        """Run cells, and wait until they have run."""
        for cell in cells:
            self.start(cell)
            self.wait_for_cell(cell)

    def start(self, cell: int) -> None:
        """Run one cell; does not wait for it."""
        self.page.evaluate(
            """(cell) => {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = cell;
                window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            cell,
        )

    def wait_for_cell(self, cell: int, timeout: float = SLOW) -> None:
        """Wait until the cell has run.

        The prompt tells: the status of the kernel turns idle whenever a widget was served, while the cell runs on.
        """
        self.page.wait_for_function(
            """(cell) => {
                const widget = window.jupyterapp.shell.currentWidget.content.widgets[cell];
                return widget.model.executionState !== 'running' && widget.model.executionCount !== null
                    && !widget.inputArea.promptNode.textContent.includes('*');
            }""",
            arg=cell,
            timeout=timeout,
        )

    def is_running(self, cell: int) -> bool:
        """Return whether the cell's prompt says so."""
        return bool(
            self.page.evaluate(
                """(cell) => window.jupyterapp.shell.currentWidget.content.widgets[cell]
                    .inputArea.promptNode.textContent.includes('*')""",
                cell,
            )
        )

    def outputs(self, cell: int) -> Locator:
        """Return the output area of a cell, scrolled into view: Lab draws only what can be seen."""
        self.page.evaluate(
            "(cell) => { window.jupyterapp.shell.currentWidget.content.scrollToItem(cell, 'center') }", cell
        )
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{cell}"] .jp-Cell-outputArea')

    def stored_outputs(self) -> list[dict[str, Any]]:
        """Save the notebook; return the outputs of all cells as they lie on the disk."""
        self.command("docmanager:save")
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return [output for cell in cells for output in cell["outputs"]]

    def load_again(self) -> None:
        """Save, load the page anew, and wait until it talks to the kernel, which has gone on."""
        self.command("docmanager:save")
        self.page.reload(timeout=SLOW)
        self.wait_for_kernel()

    def restart(self) -> None:
        """Restart the kernel, as the menu does once the user has said yes; wait for the new one."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")

    def theme(self, name: str) -> None:
        """Change to ``JupyterLab Light`` or ``JupyterLab Dark``."""
        self.command("apputils:change-theme", {"theme": name})
        dark = "false" if "Dark" in name else "true"
        self.page.wait_for_function("(is) => document.body.dataset.jpThemeLight === is", arg=dark)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def take_pictures(self, folder: Path, name: str) -> None:
        """Leave a picture of the page in each theme."""
        for theme in ("Light", "Dark"):
            self.theme(f"JupyterLab {theme}")
            self.page.screenshot(path=folder / f"{name}-{theme.lower()}.png")
