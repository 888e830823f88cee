"""``tqdm.notebook`` on a worker: a bar of html and text in the cell; the stock one would need a kernel."""

from __future__ import annotations

import html
import os
from types import ModuleType
from typing import Any

from tqdm.std import tqdm

from pydist._displays import display_message, publish
from pydist._runtime.current import current_node

__all__ = ["Bar", "enter"]


class Bar(tqdm):  # type: ignore[misc]
    """A bar that shows itself by updates of one display."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._display_id = ""
        wanted = kwargs.pop("display", True)
        kwargs.pop("colour", None)
        kwargs["gui"] = True  # tqdm's word for "do not print"
        super().__init__(*args, **kwargs)
        self.displayed = bool(wanted)
        if not self.disable and wanted and self.delay <= 0:
            self.display()

    def display(self, msg: str | None = None, pos: int | None = None, **kwargs: Any) -> None:
        """Show the bar as it is now."""
        if self.disable or not getattr(self, "displayed", False):
            return
        state = {**self.format_dict, "ncols": 80}  # taken once: it has the time in it
        text = msg if msg is not None else self.format_meter(**state)
        update, self._display_id = bool(self._display_id), self._display_id or os.urandom(16).hex()
        self._publish(text, self._html(state), update)

    def _publish(self, text: str, shown: str, update: bool) -> None:
        data = {"text/plain": text, "text/html": shown}
        kind = "update_display_data" if update else "display_data"
        publish(kind, display_message(data, None, {"display_id": self._display_id}))

    def _html(self, state: dict[str, Any]) -> str:
        before, _, after = self.format_meter(**{**state, "bar_format": "{l_bar}\0{r_bar}"}).partition("\0")
        size = f' value="{min(state["n"], state["total"])}" max="{state["total"]}"' if state["total"] else ""
        name = f"worker {current_node().pid}: {before.strip('| ')}"
        return (
            f"<div><code>{html.escape(name)}</code> <progress{size}></progress> "
            f"<code>{html.escape(after.lstrip('| '))}</code></div>"
        )

    def close(self) -> None:
        """Show the last state, or nothing if the bar is not to be left."""
        if self.disable:
            return
        self._show_last()
        super().close()

    def _show_last(self) -> None:
        if not self._display_id:
            return
        if self.leave or (self.leave is None and not self.pos):
            self.display()
        else:
            self._publish("", "", update=True)

    def reset(self, total: float | None = None) -> None:
        """Start again, with a new total if one is given."""
        super().reset(total)
        self.display()


def enter(module: ModuleType) -> None:
    """Let ``tqdm.notebook`` offer this bar."""
    own: Any = module

    def trange(*args: Any, **kwargs: Any) -> Bar:
        return Bar(range(*args), **kwargs)

    own.tqdm = own.tqdm_notebook = Bar
    own.trange = own.tnrange = trange
