"""pydist in IPython: magics, completion, output of workers in the cells that asked for it, errors of workers.

    %load_ext pydist

loads it in any IPython: a terminal, a plain ipykernel, the pydist kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

# The shell keeps it: a shell that is gone takes it along, and each shell has its own.
_ATTRIBUTE = "_pydist_session"


def load_ipython_extension(ip: InteractiveShell) -> None:
    """Load everything into a shell; a second time changes nothing."""
    if getattr(ip, _ATTRIBUTE, None) is not None:
        return
    import pydist.frontend
    from pydist_magics._session import Session

    session = Session(ip)
    session.load()
    setattr(ip, _ATTRIBUTE, session)
    # Only after our own imports: on a machine with few CPUs the two would delay each other.
    pydist.frontend.prepare()


def unload_ipython_extension(ip: InteractiveShell) -> None:
    """Take everything out of a shell again. The cluster stays as it is."""
    session = getattr(ip, _ATTRIBUTE, None)
    if session is not None:
        delattr(ip, _ATTRIBUTE)
        session.unload()
