"""What users may set: ``c.PyDist.output_limit = 10_000``, ``%config PyDist.fold = False``, ``PYDIST_PROGRESS=0``.

    ipython_config.py, the kernel's command line    c.PyDist.NAME = VALUE, --PyDist.NAME=VALUE
    a cell                                          %config PyDist.NAME = VALUE
    the environment, where neither says anything    PYDIST_NAME=VALUE

``%pydist config`` shows all of them.
"""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from traitlets import Bool, Enum, Integer, TraitError
from traitlets.config import Config, Configurable
from traitlets.config.loader import DeferredConfig

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["PyDist", "Setting"]


@dataclass(frozen=True)
class Setting:
    """One setting as it is now.

    Attributes:
        name: What follows ``PyDist.``.
        value: Its value.
        source: Who says so: ``"default"``, ``"set"``, or the name of an environment variable.
        help: One sentence.
    """

    name: str
    value: object
    source: str
    help: str


class PyDist(Configurable):
    """pydist in IPython."""

    output_limit = Integer(
        1_000_000, min=0, help="Bytes of workers' text that a cell shows; the rest is kept for %pydist output. 0: all."
    ).tag(config=True)
    progress = Bool(True, help="Whether pmap and its relatives show how far they are.").tag(config=True)
    fold = Bool(
        True, help="Whether tracebacks fold the frames of libraries, and equal failures of several workers."
    ).tag(config=True)
    fold_output = Bool(
        False,
        help="Whether equal lines of several workers are shown as one (From workers 2-5); from the next cell on.",
    ).tag(config=True)
    keep_results = Integer(
        3,
        min=0,
        help="For how many cells _ and Out keep a Future or channel that a cell has shown and nobody else holds. "
        "0: for ever.",
    ).tag(config=True)
    display = Enum(
        ("auto", "widget", "html", "text"),
        default_value="auto",
        help="What the front end can show: widgets, html, or text; auto finds out.",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._sources: dict[str, str] = {}
        super().__init__(parent=shell, config=self._that_makes_sense(shell.config))
        for name in sorted(self.trait_names(config=True)):
            self._take_from_environment(name)
        self.observe(self._note_change, names=self.trait_names(config=True))

    def settings(self) -> list[Setting]:
        """Return all settings as they are."""
        found = []
        for name, trait in sorted(self.traits(config=True).items()):
            source = self._sources.get(name) or ("set" if name in self._configured() else "default")
            found.append(Setting(name, getattr(self, name), source, str(trait.help)))
        return found

    def _that_makes_sense(self, config: Config) -> Config:
        """Return ``config`` without values that no setting can have; each is told."""
        config = deepcopy(config)
        given = config.get("PyDist", {})
        for name, trait in self.traits(config=True).items():
            if name not in given:
                continue
            value = given[name]
            try:
                trait._validate(self, value.get_value(trait) if isinstance(value, DeferredConfig) else value)
            except (TraitError, ValueError):
                value = str(value) if isinstance(value, str) else value
                self._refuse(f"c.PyDist.{name} = {value!r}", name)
                del given[name]
        return config

    def _refuse(self, what: str, name: str) -> None:
        # A kernel that does not start for the sake of a setting would help nobody.
        trait = self.traits()[name]
        least = getattr(trait, "min", None)
        right = trait.info() if least is None else f"{trait.info()} from {least} up"
        kernel = getattr(self._shell, "kernel", None)
        # Of a kernel that starts no cell shows anything yet; whoever has started it has its own standard error.
        file = sys.__stderr__ if kernel is not None and not kernel.get_parent("shell") else sys.stderr
        if file is not None:
            file.write(f"pydist: {what} is not {right}; {getattr(self, name)!r} holds\n")
            file.flush()

    def _take_from_environment(self, name: str) -> None:
        variable = f"PYDIST_{name.upper()}"
        text = os.environ.get(variable, "").strip()
        if not text or name in self._configured():
            return
        trait = self.traits()[name]
        try:
            setattr(self, name, trait.from_string(text))
        except (TraitError, ValueError):
            self._refuse(f"{variable}={text!r}", name)
        else:
            self._sources[name] = variable

    def _configured(self) -> set[str]:
        return set(self.config.get("PyDist", {}))

    def _note_change(self, change: dict[str, object]) -> None:
        self._sources[str(change["name"])] = "set"
