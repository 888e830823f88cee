"""A JupyterLab of our own and a Chromium that looks at it.

    with Lab(folder, chromium) as lab, lab.page() as page:
        notebook = lab.open(page, "a.ipynb")
        notebook.run_all()
        notebook.wait_for_cell(3)

Nothing outside the server is reachable from the page; what it asked for in vain is in ``lab.refused``.
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

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
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            yield page
        finally:
            browser.close()


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
    def page(self, size: tuple[int, int] = (1200, 1000)) -> Iterator[Page]:
        """Give an empty page of a new browser."""
        allowed = (self.url, "data:", "blob:")
        with open_page(self._chromium, allowed, refused=self.refused, complaints=self.complaints, size=size) as page:
            yield page

    def open(self, page: Page, path: str) -> Notebook:
        """Open a notebook and wait for its kernel."""
        page.goto(f"{self.url}lab/tree/{path}?reset&token={self._token}", timeout=SLOW)
        notebook = Notebook(page)
        notebook.wait_for_kernel()
        return notebook

    def _wait_until_up(self) -> None:
        end = time.monotonic() + BOOT
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            # The server chose its port; it writes it down before it listens.
            for written in self._runtime.glob("jpserver-*.json"):
                with contextlib.suppress(OSError, ValueError):
                    self.url = json.loads(written.read_text(encoding="utf-8"))["url"]
                    asked = urllib.request.Request(
                        f"{self.url}api/status", headers={"Authorization": f"token {self._token}"}
                    )
                    urllib.request.urlopen(asked, timeout=5).close()
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

    def __init__(self, page: Page) -> None:
        self.page = page

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

    def run(self, cell: int) -> None:
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

    def theme(self, name: str) -> None:
        """Change to ``JupyterLab Light`` or ``JupyterLab Dark``."""
        self.command("apputils:change-theme", {"theme": name})
        dark = "false" if "Dark" in name else "true"
        self.page.wait_for_function("(is) => document.body.dataset.jpThemeLight === is", arg=dark)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
