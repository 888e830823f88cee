"""What is loaded into one shell: the magics, the router of output, the view of errors, the completion."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

import pydist
import pydist.frontend
from pydist_magics import (
    _attach_magic,
    _call_magics,
    _cluster_magics,
    _distributed_magics,
    _futures,
    _inspect_magic,
    _pmap_magics,
    _pydist_magic,
    _remotecall_magic,
)
from pydist_magics._autoreload import Autoreload
from pydist_magics._command import Command
from pydist_magics._completion import offers
from pydist_magics._config import PyDist
from pydist_magics._errors import ErrorView
from pydist_magics._magic import Magic, bind
from pydist_magics._results import Results
from pydist_magics._router import Router
from pydist_magics._sources import Sources

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Session"]

_TABLES = (
    _cluster_magics.MAGICS,
    _call_magics.MAGICS,
    _remotecall_magic.MAGICS,
    _pmap_magics.MAGICS,
    _distributed_magics.MAGICS,
    _futures.MAGICS,
    _attach_magic.MAGICS,
    _inspect_magic.MAGICS,
    _pydist_magic.MAGICS,
)
_NAMES = {"pydist": pydist}
_DOTTED = re.compile(r"[A-Za-z_][\w.]*$")


class Session:
    """The extension as loaded into a shell.

    Attributes:
        shell: The shell.
        settings: What the user may set.
        sources: The code of its magics.
        router: Where output of workers goes.
        errors: How errors of workers are shown.
        attached: The connection files of workers that consoles may go into.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.attached: dict[int, str] = {}
        self.settings = PyDist(shell)
        self.sources = Sources(shell)
        self.router = Router(shell)
        self.errors = ErrorView(shell)
        self._results = Results(shell)
        self._autoreload = Autoreload(shell)
        self._look_away: Callable[[], None] = lambda: None
        self._magics: dict[tuple[str, str], Magic] = {}
        self._bound: dict[tuple[str, str], Any] = {}

    def load(self) -> None:
        """Put everything in its place."""
        manager = self.shell.magics_manager
        for magic in (magic for table in _TABLES for magic in table):
            for name in magic.all_names:
                self._magics[magic.kind, name] = magic
                self._bound[magic.kind, name] = bind(self, magic, name)
                manager.register_function(self._bound[magic.kind, name], magic.kind, name)
        self.router.attach()
        pydist.frontend.set_router(self.router)
        self.errors.install()
        self._results.attach()
        self._autoreload.attach()
        self._look_away = pydist.frontend.watch_sources(self._autoreload.taken)
        self._matchers().append(self._complete)
        self._configurables().append(self.settings)
        self.settings.observe(self._obey_settings)
        self._obey_settings()
        # Hidden: it is there to be used, and is not the user's.
        self.shell.push(_NAMES, interactive=False)

    def unload(self) -> None:
        """Take out what is still ours. The cluster stays as it is."""
        for (kind, name), function in self._bound.items():
            if self.shell.magics_manager.magics[kind].get(name) is function:
                del self.shell.magics_manager.magics[kind][name]
        if pydist.frontend.router() is self.router:
            pydist.frontend.set_router(None)
        self.router.detach()
        self.errors.remove()
        self._results.detach()
        self._autoreload.detach()
        self._look_away()
        if self._complete in self._matchers():
            self._matchers().remove(self._complete)
        self.settings.unobserve(self._obey_settings)
        pydist.frontend.show_progress(True)
        if self.settings in (configurables := self._configurables()):
            configurables.remove(self.settings)
        self.shell.drop_by_id(_NAMES)

    def command(self, kind: str, name: str) -> Command | None:
        """Return what the line of a magic means, None if it is not ours."""
        magic = self._magics.get((kind, name))
        return None if magic is None else magic.command

    def _obey_settings(self, change: object = None) -> None:
        settings = self.settings
        self.router.log.limit = settings.output_limit or sys.maxsize
        self.errors.fold = settings.fold
        self.router.fold(settings.fold_output)
        self._results.cells = settings.keep_results
        pydist.frontend.show_progress(settings.progress)
        # Those who show things ask the environment: the widgets too, which know nothing of this.
        if settings.display != "auto":
            os.environ["PYDIST_DISPLAY"] = settings.display
        elif os.environ.get("PYDIST_DISPLAY"):
            del os.environ["PYDIST_DISPLAY"]

    def _configurables(self) -> list[Any]:
        return self.shell.configurables

    def _matchers(self) -> list[Any]:
        completer: Any = self.shell.Completer
        return completer.custom_matchers if completer is not None else []

    @context_matcher()  # type: ignore[untyped-decorator]
    def _complete(self, context: CompletionContext) -> SimpleMatcherResult:
        before = context.text_until_cursor
        found = offers(before, self.command, pydist.procs)
        if found is None:
            dotted = _DOTTED.search(before)
            name = dotted[0] if dotted is not None else ""
            remote = _inspect_magic.remote_names(before, name, self.command, pydist.procs)
            # IPython's token may be longer than the name, or shorter.
            ahead = context.token[: len(context.token) - len(name)] if context.token.endswith(name) else ""
            return {"completions": [SimpleCompletion(ahead + one, type="remote") for one in remote], "suppress": False}
        choices, partial = found
        # IPython replaces its own idea of the word before the cursor, which begins at other places than ours.
        token = context.token
        lead = len(partial) - len(token)
        completions = [
            SimpleCompletion(choice.text[lead:] if lead > 0 else token[:-lead] + choice.text if lead else choice.text)
            for choice in choices
        ]
        for completion, choice in zip(completions, choices, strict=True):
            completion.type = choice.kind
        return {"completions": completions, "suppress": bool(completions)}
