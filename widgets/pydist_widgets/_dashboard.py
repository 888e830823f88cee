"""The worker table with buttons that act on the workers."""

from __future__ import annotations

__all__ = ["Dashboard", "dashboard"]


class Dashboard:
    """The workers, live, with buttons to add, interrupt, restart and remove them.

    The buttons work while a cell is running. Where there is no live front end the dashboard is the table.
    """

    def __repr__(self) -> str:
        """Return the table as text, for a terminal and for print."""
        import pydist
        from pydist_widgets._views import WorkersView

        return WorkersView(pydist.worker_info).snapshot().text()

    def _ipython_display_(self) -> None:
        from IPython.core.getipython import get_ipython

        from pydist_widgets import load_ipython_extension
        from pydist_widgets._session import session_of

        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            raise NotImplementedError  # IPython's sign for: use the repr
        load_ipython_extension(shell)
        session = session_of(shell)
        if session is not None:
            session.show_dashboard()


def dashboard() -> Dashboard:
    """Return the dashboard; as the last expression of a cell it shows itself."""
    return Dashboard()
