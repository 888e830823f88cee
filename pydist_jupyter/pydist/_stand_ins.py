"""A widget that is sent to another process: there it has a stand-in, the same picture in the front end.

A stand-in can be shown, put into boxes, and linked with widgets of its process by ``jslink`` and ``jsdlink``, which
need no more than the id of a model. What the widget has and does is where it lives; sent back there, it is itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from pydist._runtime.current import current_node
from pydist._runtime.imports import after_import
from pydist._runtime.pickling import current_job

__all__ = ["install"]


def install() -> None:
    """Let widgets be sent, once ipywidgets is imported."""
    after_import("ipywidgets.widgets.widget", _enter)


def _enter(module: ModuleType) -> None:
    Widget: Any = module.Widget
    if "__reduce_ex__" in vars(Widget):
        return
    as_it_was = Widget.__reduce_ex__

    def reduce(widget: Any, protocol: int) -> Any:
        if current_job() is None:
            return as_it_was(widget, protocol)
        if widget.comm is None:
            raise pickle.PicklingError(f"this {type(widget).__name__} is closed; only an open widget can be sent")
        view = widget._view_name, widget._view_module, widget._view_module_version
        return _at_home_or_not, (current_node().pid, widget.model_id, type(widget).__name__, list(widget.keys), view)

    Widget.__reduce_ex__ = reduce


def _at_home_or_not(home: int, model_id: str, kind: str, names: Sequence[str], view: Sequence[Any]) -> Any:
    """Return the widget itself where it lives, a stand-in elsewhere. Called by unpickling."""
    from ipywidgets.widgets import widget

    if home != current_node().pid:
        return _stand_in_class()(home, model_id, kind, names, view)
    if model_id not in widget._instances:
        raise ReferenceError(f"this {kind} has been closed on process {home}")
    return widget._instances[model_id]


_made: list[Callable[..., Any]] = []


def _stand_in_class() -> Callable[..., Any]:
    if not _made:
        _made.append(_make_class())
    return _made[0]


def _make_class() -> Callable[..., Any]:
    from ipywidgets import Widget
    from traitlets import Any as AnyTrait

    class StandIn(Widget):  # type: ignore[misc]
        """The widget ``kind`` of process ``home``. It has no comm of its own."""

        _home, _kind = 0, "widget"
        _names: tuple[str, ...] = ()

        def __init__(self, home: int, model_id: str, kind: str, names: Sequence[str], view: Sequence[Any]) -> None:
            # Not the one of Widget, which opens a new model.
            self._home, self._model_id, self._kind = home, model_id, kind
            self._view_name, self._view_module, self._view_module_version = view
            self._names = tuple(names)

        @property
        def model_id(self) -> str:
            own: str = self._model_id
            return own

        def traits(self, **metadata: Any) -> dict[str, Any]:
            """Return what can be linked."""
            return {name: AnyTrait().tag(sync=True) for name in self._names}

        def observe(self, *args: Any, **kwargs: Any) -> None:
            """Refuse: nothing would ever be heard. What traitlets itself observes is set up before ``__init__``."""
            if self._names:
                raise AttributeError(self._elsewhere("observe"))
            super().observe(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(self._elsewhere(name))

        def __setattr__(self, name: str, value: Any) -> None:
            if name in self._names:
                raise AttributeError(self._elsewhere(name))
            super().__setattr__(name, value)

        def __repr__(self) -> str:
            return f"<{self._kind} of process {self._home}>"

        def __reduce_ex__(self, protocol: Any) -> Any:
            view = self._view_name, self._view_module, self._view_module_version
            return _at_home_or_not, (self._home, self._model_id, self._kind, self._names, view)

        def _elsewhere(self, name: str) -> str:
            return f"this {self._kind} lives on process {self._home}: {name!r} of it can be had and set there only"

    return StandIn
