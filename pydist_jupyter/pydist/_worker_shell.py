"""The IPython shell of a worker, for what needs one: magics, ``!commands``, and the formatters of ``display``."""

# IPython annotates only some of its functions.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import sys
import threading
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from pydist._displays import display_message, publish

__all__ = ["WorkerShell", "show_figures"]

_making = threading.RLock()
#: What IPython puts into a notebook's names to leave it by; a worker is left by `rmprocs`.
_WAYS_OUT = ("exit", "quit")


class _Publisher(DisplayPublisher):
    """Sends what is displayed to the cell that started the call."""

    def publish(  # type: ignore[override]  # IPython's is untyped
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        """Send a display message."""
        msg_type = "update_display_data" if update else "display_data"
        publish(msg_type, display_message(data, metadata, transient))

    def clear_output(self, wait: bool = False) -> None:
        """Have the cell cleared."""
        publish("clear_output", {"wait": wait})


class WorkerShell(InteractiveShell):
    """A shell without a terminal, without history, with the worker's ``__main__`` as its names."""

    display_pub_class = Type(_Publisher)  # type: ignore[mutable-override]

    @classmethod
    def of_this_process(cls) -> InteractiveShell:
        """Return the shell of this process, whoever has made it."""
        with _making:
            if InteractiveShell.initialized():
                return InteractiveShell.instance()
            config = Config()
            config.HistoryManager.enabled = False
            config.InteractiveShell.colors = "nocolor"
            main = sys.modules["__main__"]
            before = sys.displayhook, sys.excepthook
            shell = cls.instance(config=config, user_module=main, user_ns=vars(main))
            sys.displayhook, sys.excepthook = before
            for name in _WAYS_OUT:
                shell.user_ns.pop(name, None)
            show_figures(shell)
            return shell

    def enable_gui(self, gui: str | None = None) -> None:
        """Do nothing: no window can be opened here."""


def show_figures(shell: InteractiveShell) -> None:
    """Let ``display(figure)`` show the figure; matplotlib need not be there."""

    def png(figure: Any) -> bytes:
        from pydist._figures import png_of

        return png_of(figure)

    formatter = shell.display_formatter.formatters["image/png"]  # type: ignore[union-attr]
    formatter.for_type_by_name("matplotlib.figure", "Figure", png)
