"""Live views of pydist in IPython and Jupyter: the workers, the progress of a pmap, Futures, a dashboard.

``%load_ext pydist`` loads this as well; afterwards the objects show themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

from pydist_widgets._dashboard import Dashboard, dashboard

__all__ = ["Dashboard", "dashboard", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Let the objects of pydist show themselves in ``shell``. A second time does nothing."""
    from pydist_widgets._session import Session, session_of

    if session_of(shell) is None:
        Session(shell).open()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo it. Live views that are on the screen become plain ones."""
    from pydist_widgets._session import session_of

    session = session_of(shell)
    if session is not None:
        session.close()
