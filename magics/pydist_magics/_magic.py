"""A magic: its command, the function behind it, and how both become something that IPython can call."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.error import UsageError
from IPython.core.magic import needs_local_scope, no_var_expand, output_can_be_silenced

import pydist
from pydist._interpolate import evaluator
from pydist_magics._command import Command, Line, Mistake
from pydist_magics._errors import leave_machinery_out
from pydist_magics._sources import CellSyntaxError
from pydist_magics.targets import Target, resolve

if TYPE_CHECKING:
    from pydist_magics._session import Session

__all__ = ["Call", "Magic", "bind"]


@dataclass(frozen=True)
class Call:
    """One use of a magic.

    Attributes:
        session: The shell's session.
        line: The line, its options taken out.
        scope: The local names around the magic if it stands in a function, else None.
        body: The cell below the line, for a cell magic.
        shown: What the user sees: the whole cell, or None for a line.
    """

    session: Session
    line: Line
    scope: Mapping[str, Any] | None
    body: str = ""
    shown: str | None = None

    def evaluate(self, text: str) -> Any:
        """Return the value of an expression where the magic stands."""
        namespace = self.session.shell.user_ns
        look_up = evaluator(namespace) if self.scope is None else evaluator(self.scope, namespace)
        return look_up(text)

    def value(self, text: str, what: str) -> Any:
        """Return the value of an expression that stands for ``what``; an error in it is the user's mistake."""
        try:
            return self.evaluate(text)
        except SyntaxError:
            raise Mistake(f"{what}: {text!r} is not a Python expression") from None
        except Exception as error:
            raise Mistake(f"{what} {text!r}: {_sentence(error)}") from None

    def target(self, text: str) -> Target:
        """Return the processes that a P means."""
        return resolve(text, pydist.procs(), self.evaluate)

    def keep(self, name: str | None, value: Any) -> Any:
        """Bind ``value`` to ``name`` for the user and return None; without a name return the value."""
        if name is None:
            return value
        self.session.shell.user_ns[name] = value
        return None

    def name(self, option: str) -> str | None:
        """Return the value of an option that names a variable."""
        text = self.line.text(option)
        if text is not None and (not text.isidentifier() or keyword.iskeyword(text)):
            raise Mistake(f"{text!r} cannot be the name of a variable")
        return text


@dataclass(frozen=True)
class Magic:
    """One magic in one form.

    Attributes:
        kind: ``"line"`` or ``"cell"``.
        command: What its line means.
        run: Does it; a `Mistake` that it raises is shown as one sentence.
        names: Other names of the same thing.
    """

    kind: Literal["line", "cell"]
    command: Command
    run: Callable[[Call], Any]
    names: tuple[str, ...] = ()

    @property
    def all_names(self) -> tuple[str, ...]:
        """All names, the first one first."""
        return (self.command.name, *self.names)


def bind(session: Session, magic: Magic, name: str) -> Callable[..., Any]:
    """Return ``magic`` as IPython calls it."""
    command = magic.command
    marks = "%" if magic.kind == "line" else "%%"

    def run(line: str, cell: str = "", local_ns: Mapping[str, Any] | None = None) -> Any:
        __tracebackhide__ = True
        shell = session.shell
        # At the top of a cell the local names are the global ones; those go along by themselves.
        at_top = local_ns is None or local_ns is shell.user_ns or local_ns is shell.user_global_ns
        scope = None if at_top or local_ns is None else dict(local_ns)
        try:
            parsed = command.parse(line)
            if parsed.flag("help"):
                print(command.help(), end="")  # noqa: T201
                return None
            shown = None if magic.kind == "line" else f"{marks}{name} {line}".rstrip() + f"\n{cell}"
            return magic.run(Call(session, parsed, scope, cell, shown))
        except Mistake as mistake:
            raise UsageError(f"{marks}{name}: {mistake}") from None
        except CellSyntaxError as error:
            leave_machinery_out(error)
            if magic.kind == "cell":
                raise
            raise session.sources.at_its_line(error, f"%{name} {line}".rstrip()) from None
        except BaseException as error:
            leave_machinery_out(error)
            raise

    run.__name__ = run.__qualname__ = name
    run.__doc__ = command.help()
    return no_var_expand(output_can_be_silenced(needs_local_scope(run)))


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, NameError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
