"""What a front end (kernel, magics, widgets, a script's terminal) may hang into the runtime.

The runtime imports no front end. What a front end registers here, and what it may ask:

    set_router(router)      where the text of workers goes, and which cell a call belongs to
    set_progress(factory)   how the progress of a pmap shows itself
    set_dashboard(factory)  how the workers show themselves, with buttons
    watch_sources(taken)    which edited modules it has brought up to date by itself
    running(origin)         the calls in flight that were started under an origin
    follow_calls(origin)    which calls of an origin nobody has waited for
    leaves_calls(origin)    whether something of an origin may go on
    cancel(origin)          stop exactly those
    wait_idle(timeout)      wait until none is in flight
    tell_comm(pid, message) hand over what was said to a widget of a worker
    widget_states(pids, timeout)  how the widgets of workers stand
    prepare()               have ready what the first addprocs(n) needs
    shutdown(grace)         end every worker, surely and soon

An *origin* is a small positive integer that the router gives to the cell (or whatever it likes) in which a call is
started. It travels with the call, through nested calls too, and comes back with every piece of output. 0 is "none".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pydist._comm_messages import Update

__all__ = [
    "OutputRouter",
    "ProgressView",
    "cancel",
    "dashboard",
    "follow_calls",
    "leaves_calls",
    "note_call",
    "note_wait",
    "on_departure",
    "prepare",
    "progress",
    "router",
    "running",
    "set_dashboard",
    "set_progress",
    "set_router",
    "show_progress",
    "shutdown",
    "strays",
    "taken_over",
    "tell_comm",
    "together",
    "wait_for_end",
    "wait_idle",
    "watch_sources",
    "widget_states",
]


@runtime_checkable
class OutputRouter(Protocol):
    """Where worker output goes. All methods may be called from any thread and must not block."""

    def origin(self) -> int:
        """Return the origin of what the calling thread is doing now (0 = none). Called once for each call started."""

    def text(self, origin: int, stream: str, text: str, call: int = 0) -> None:
        r"""Show ``text``: whole lines, the prefix `` From worker 2:\\t`` already in front of each.

        ``stream`` is ``"stdout"`` or ``"stderr"``, ``call`` the number of the call that wrote it, 0 if that is not
        known. It is called before the result of the call is delivered, in the thread that read it.
        """

    def display(self, origin: int, pid: int, msg_type: str, content: Mapping[str, Any], call: int = 0) -> None:
        """Show a rich message of worker ``pid``; ``call`` as for `text`.

        ``msg_type`` is ``"display_data"``, ``"update_display_data"`` or ``"clear_output"``; ``content`` is the content
        of a Jupyter message of that type.
        """

    # A router may also have `together() -> context manager`: see the function of that name.
    # And `relay(pid, message)`: takes a message of a comm (the line between a widget and its picture), a
    # `pydist._comm_messages.Update`. Without it widgets of workers are seen as text.
    # And `moves(origin) -> bool`: whether a line that overwrites itself (a bar drawn with ``\\r``)
    # shall be shown while it moves, by updates of a display. Without it such a line comes once, as it ends.


class ProgressView(Protocol):
    """One live progress display. Called from the thread that runs the pmap; must be cheap (it is called per batch)."""

    def update(self, done: int, failed: int, total: int | None) -> None:
        """Say how far it is. ``total`` is None while the input's length is unknown."""

    def close(self, state: str) -> None:
        """End the display: ``state`` is ``"done"``, ``"failed"`` or ``"interrupted"``. Called exactly once."""


ProgressFactory = Callable[[str, "int | None"], ProgressView]


class _Registry:
    router: OutputRouter | None = None
    progress: ProgressFactory | None = None
    progress_wanted = True
    dashboard: Callable[[], Any] | None = None
    followed: ClassVar[dict[int, set[int]]] = {}
    taken: ClassVar[list[Callable[[str], float]]] = []


def set_router(router: OutputRouter | None) -> None:
    """Send worker output to ``router`` from now on; None: to this process's stdout and stderr."""
    _Registry.router = router


def router() -> OutputRouter | None:
    """Return the router in force, or None."""
    return _Registry.router


def together() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which this process writes while workers do, for the same statement.

    Which of them is first is chance. A router that shall give the same output each time shows the workers' text last.
    """
    enter = getattr(_Registry.router, "together", None)
    return contextlib.nullcontext() if enter is None else enter()


def set_progress(factory: ProgressFactory | None) -> None:
    """Let ``factory(label, total)`` make the display of every pmap that asks for progress; None: no display."""
    _Registry.progress = factory


def progress() -> ProgressFactory | None:
    """Return the progress factory in force, or None."""
    return _Registry.progress if _Registry.progress_wanted else None


def show_progress(wanted: bool) -> None:
    """Say whether progress shall be shown at all; whoever is registered stays registered."""
    _Registry.progress_wanted = wanted


def set_dashboard(factory: Callable[[], Any] | None) -> None:
    """Let ``factory()`` make the dashboard, an object that shows itself; None: there is none."""
    _Registry.dashboard = factory


def dashboard() -> Callable[[], Any] | None:
    """Return the dashboard factory in force, or None."""
    return _Registry.dashboard


def running(origin: int | None = None) -> dict[int, int]:
    """Return ``{pid: number of calls in flight}`` of the calls started under ``origin`` (None: of this process)."""
    from pydist._runtime.current import current_node

    return current_node().calls_in_flight(origin)


def follow_calls(origin: int) -> Collection[int]:
    """Return the numbers of the calls of ``origin`` that nobody has waited for, kept true until `leaves_calls`.

    What such a call writes comes when it likes: nothing of what the cell does next follows from it.
    """
    return _Registry.followed.setdefault(origin, set())


def note_call(origin: int, number: int) -> None:
    """A call begins that need not be waited for. The runtime says so."""
    calls = _Registry.followed.get(origin)
    if calls is not None:
        calls.add(number)


def note_wait(origin: int, number: int) -> None:
    """Somebody has waited for the end of a call. The runtime says so."""
    calls = _Registry.followed.get(origin)
    if calls is not None:
        calls.discard(number)


def leaves_calls(origin: int) -> bool:
    """Return whether there are calls of ``origin`` that nobody has waited for, or that go on; follow it no more."""
    from pydist._runtime.current import peek_node

    calls, node = _Registry.followed.pop(origin, None), peek_node()
    return bool(calls) or (node is not None and bool(node.calls_in_flight(origin)))


def on_departure(callback: Callable[[int], None]) -> Callable[[], None]:
    """Call ``callback(pid)`` whenever a worker has ended; return a function that takes it back."""
    from pydist._runtime.current import current_node

    departed = current_node().departed
    departed.append(callback)

    def take_back() -> None:
        if callback in departed:
            departed.remove(callback)

    return take_back


def tell_comm(pid: int, message: Update) -> None:
    """Give worker ``pid`` what was said to one of its comms. Does not wait; a worker that is gone hears nothing."""
    from pydist._runtime.current import current_node

    current_node().tell_comm(pid, message)


def widget_states(pids: Iterable[int], timeout: float) -> list[Any]:
    """Return the states of the widgets of these workers, of those that answer within ``timeout`` seconds.

    Returns:
        For each: the states by model id, the places in them where buffers belong, the buffers.
    """
    from pydist._runtime.current import current_node

    return current_node().call_each(pids, _states, timeout)


def _states() -> Any:
    """Return the states of the widgets here; on a worker."""
    from pydist._runtime.current import current_node

    comms = current_node().comms
    return ({}, [], []) if comms is None else comms.states()


def watch_sources(taken: Callable[[str], float]) -> Callable[[], None]:
    """Let ``taken(name)`` tell which modules have their file's new code without an import; return what takes it back.

    It returns the time of the change (seconds since the epoch) of the file whose content the module has, or 0.0 if it
    knows nothing of it. It is called for every module beside the notebook that a call mentions, and must be quick.
    """
    _Registry.taken.append(taken)
    return lambda: _Registry.taken.remove(taken)


def taken_over(name: str) -> float:
    """Return the latest that front ends say of module ``name``: see `watch_sources`."""
    return max([taken(name) for taken in _Registry.taken]) if _Registry.taken else 0.0


def strays() -> dict[int, int]:
    """Return ``{pid: number of calls}`` of this process's calls that were interrupted, did not listen and go on."""
    from pydist._runtime.current import current_node

    return {peer.pid: peer.strays for peer in current_node().peers.all() if peer.strays > 0}


def cancel(origin: int) -> dict[int, int]:
    """Interrupt every call in flight that was started under ``origin``; return ``{pid: number of calls}``."""
    from pydist._runtime.current import current_node

    return current_node().cancel_origin(origin)


def wait_for_end(origin: int, timeout: float) -> dict[int, int]:
    """Wait until no call of ``origin`` is in flight; return ``{pid: number of calls}`` of those that still are then."""
    from pydist._runtime.current import current_node

    return current_node().wait_for_origin(origin, timeout)


def wait_idle(timeout: float | None = None) -> bool:
    """Wait until no call of this process is in flight; return False if some are after ``timeout`` seconds."""
    from pydist._runtime.current import current_node

    return current_node().wait_until_idle(timeout)


def prepare() -> None:
    """Have ready what the first ``addprocs(n)`` needs: a process that forks workers, and ends with this one.

    Returns at once. Nothing happens on a worker, and none of it shows: what fails here fails in `addprocs`, too.
    """
    from pydist._runtime.current import peek_node
    from pydist.managers import helper

    node = peek_node()
    if node is None or node.pid == 1:
        helper.prepare()


def shutdown(grace: float = 1.0) -> None:
    """End every worker: ask, wait up to ``grace`` seconds for all together, then kill. Never raises, safe to repeat."""
    from pydist._removal import shutdown_all

    with contextlib.suppress(Exception):
        shutdown_all(grace)
