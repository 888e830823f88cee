"""The kernel's half of the live table: the one model that ``static/view.js`` draws.

This module needs anywidget; it is imported when the first live view is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from pydist_widgets._screens import Bundle
    from pydist_widgets._workers import Workers

__all__ = ["TableModel"]

VIEW = "application/vnd.jupyter.widget-view+json"
STATIC = Path(__file__).parent / "static"


class _Widget(anywidget.AnyWidget):
    _esm = STATIC / "view.js"
    _css = STATIC / "view.css"

    table = traitlets.Dict().tag(sync=True)
    # What can be ordered from here; none: no buttons.
    orders = traitlets.List(traitlets.Unicode()).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)


class TableModel:
    """A table of workers, with a button for each of ``orders``.

    Messages of the front end go to ``on_order``, in whatever thread the kernel receives them.
    """

    def __init__(
        self,
        snapshot: Workers,
        orders: tuple[str, ...] = (),
        on_order: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self._widget = _Widget(table=snapshot.data, orders=list(orders))
        answer_in_the_senders_shell(self._widget.comm)
        if on_order is not None:
            self._widget.on_msg(lambda _, content, __: on_order(content))

    def bundle(self) -> Bundle:
        """Return what makes a front end draw it."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}}

    def push(self, snapshot: Workers) -> None:
        """Send the table, whole: the server may drop messages, and the next one then mends the picture."""
        self._widget.table = snapshot.data

    def say(self, note: str) -> None:
        """Show ``note`` under the buttons."""
        self._widget.note = note

    def close(self) -> None:
        """Take the model from the front end."""
        self._widget.close()


def answer_in_the_senders_shell(comm: Any) -> None:
    """Let the front end reach ``comm`` while a cell runs.

    A front end sends widget messages to a subshell so that they need not wait for the cell. ipykernel 7.4 hands them
    to the shell that last sent on the comm instead, and that is the main one, which is busy.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
