"""Everything that is shown in one IPython shell."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pydist
from pydist import frontend
from pydist_widgets._bars import Bars
from pydist_widgets._cells import Cells
from pydist_widgets._dashboard import dashboard
from pydist_widgets._live import Live
from pydist_widgets._orders import Orders
from pydist_widgets._pump import Pump
from pydist_widgets._screens import NotebookScreen, TerminalScreen
from pydist_widgets._terminal import follow
from pydist_widgets._views import FutureView, ProgressMeter, WorkersView

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from pydist_widgets._model import TableModel
    from pydist_widgets._workers import ProcessInfo, Workers

__all__ = ["Session", "session_of"]

# The session is kept by its shell: whoever ends the shell ends it too.
_ATTRIBUTE = "_pydist_widgets_session"


class Session:
    """The displays of one shell and what they need. There is one worker table, however often it is shown."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._in_notebook = getattr(shell, "kernel", None) is not None
        self._cells = Cells(shell)
        self._screen = NotebookScreen(shell, self._cells) if self._in_notebook else TerminalScreen()
        self._pump = Pump(self._screen)
        self._bars = Bars(self._screen, self._pump, self._cells)
        self._events = {"pre_run_cell": [self._cells.begin, self._pump.wake]}
        # Settled first: a screen without a user takes updates only while the cell runs.
        self._events["post_run_cell"] = [self._pump.settle, self._cells.end]

    # Showing things

    def show_workers(self, _: object = None) -> None:
        """Display the live worker table."""
        self._show(self._table)

    def show_dashboard(self) -> None:
        """Display the live worker table with its buttons."""
        self._show(self._dashboard)

    def show_future(self, future: Any) -> None:
        """Display a Future."""
        view = FutureView(future)
        live = Live(view, self._screen)
        view.on_change = self._pump.wake
        self._show(live)

    def meter(self, label: str, total: int | None) -> ProgressMeter:
        """Display the progress of a pmap that begins now (the factory of ``pydist.frontend.set_progress``)."""
        if self._in_notebook:
            return self._bars.meter(label, total)
        meter = ProgressMeter(label, total)
        follow(meter, sys.stderr)
        return meter

    def workers_text(self) -> str:
        """Return the worker table as text."""
        return WorkersView(_infos).snapshot().text()

    # Beginning and end

    def open(self) -> None:
        """Take part in the shell: events, displays, progress."""
        setattr(self._shell, _ATTRIBUTE, self)
        formatter = self._shell.display_formatter
        assert formatter is not None
        if self._in_notebook:
            for event, hooks in self._events.items():
                for hook in hooks:
                    self._shell.events.register(event, hook)
            formatter.ipython_display_formatter.for_type(pydist.WorkerList, self.show_workers)
            formatter.ipython_display_formatter.for_type(pydist.Future, self.show_future)
        else:
            formatter.formatters["text/plain"].for_type(
                pydist.WorkerList, lambda _, printer, __: printer.text(self.workers_text())
            )
        frontend.set_progress(self.meter)
        frontend.set_dashboard(dashboard)

    def close(self) -> None:
        """Take no part any more. What is displayed stays as plain html."""
        formatter = self._shell.display_formatter
        assert formatter is not None
        if self._in_notebook:
            for event, hooks in self._events.items():
                for hook in hooks:
                    self._shell.events.unregister(event, hook)
            formatter.ipython_display_formatter.pop(pydist.WorkerList, None)
            formatter.ipython_display_formatter.pop(pydist.Future, None)
        else:
            formatter.formatters["text/plain"].pop(pydist.WorkerList, None)
        if frontend.progress() == self.meter:
            frontend.set_progress(None)
        if frontend.dashboard() is dashboard:
            frontend.set_dashboard(None)
        self._pump.close()
        delattr(self._shell, _ATTRIBUTE)

    # The displays

    def _show(self, live: Live) -> None:
        live.show()
        if self._in_notebook:
            self._pump.add(live)

    @functools.cached_property
    def _table(self) -> Live:
        return Live(WorkersView(_infos), self._screen, _table_model)

    @functools.cached_property
    def _dashboard(self) -> Live:
        return Live(WorkersView(_infos), self._screen, _dashboard_model, has_buttons=True)


def session_of(shell: InteractiveShell) -> Session | None:
    """Return the session that is open in ``shell``."""
    session: Session | None = getattr(shell, _ATTRIBUTE, None)
    return session


def _infos() -> Iterable[ProcessInfo]:
    return pydist.worker_info()


def _table_model(snapshot: Workers) -> TableModel | None:
    try:
        from pydist_widgets._model import TableModel
    except ImportError:  # anywidget is an extra: without it the table is plain html, replaced as it changes
        return None
    return TableModel(snapshot)


def _dashboard_model(snapshot: Workers) -> TableModel | None:
    try:
        from pydist_widgets._model import TableModel
    except ImportError:
        return None
    orders = Orders(lambda note: model.say(note))
    model = TableModel(snapshot, orders.names, orders.give)
    return model
