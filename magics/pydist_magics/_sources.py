"""From the text of a magic to code: IPython syntax transformed, errors at their line, functions that capture names.

Line numbers count from the top of the cell, the line of the magic included, so that a traceback from a worker and a
SyntaxError from here both point at what the user sees.
"""

from __future__ import annotations
import __future__ as future

import ast
import linecache
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellSyntaxError", "Source", "Sources", "cell_error", "own_statements"]

_FUTURES = 0
for _name in future.all_feature_names:
    _FUTURES |= getattr(future, _name).compiler_flag

# Functions are cached by text, so that a magic in a loop sends its code once; no loop has more texts than this.
_KEPT = 500
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+")

# Names of the two functions around the code; no name of the user's must meet them.
_OUTER, _INNER = "_pydist_capture", "_pydist_call"


class CellSyntaxError(SyntaxError):
    """The code that a magic was given cannot be read. Nothing was sent anywhere."""


# It is a class of its own so that it can be shown without the frames of the magic; for the user it is what it is.
CellSyntaxError.__name__ = CellSyntaxError.__qualname__ = "SyntaxError"


@dataclass(frozen=True)
class Source:
    """Code of a magic, ready to be compiled.

    Attributes:
        filename: Its name in tracebacks, ``<spawnat-3>``; the same for the same text.
        code: Plain Python with the line numbers of the cell.
        shown: The lines that the user sees, which linecache knows under ``filename``.
    """

    filename: str
    code: str
    shown: str


class Sources:
    """The code of the magics of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._filenames: dict[tuple[str, str], str] = {}
        self._factories: dict[tuple[Any, ...], types.CodeType] = {}

    def read(self, kind: str, text: str, *, shown: str | None = None) -> Source:
        """Return the source of ``text``.

        Args:
            kind: The magic, for the name of the file.
            text: The code as it was typed; IPython syntax may be in it.
            shown: The whole cell, if ``text`` is its body below the line of the magic.
        """
        # IPython drops blank lines at the top, which would shift all numbers.
        blank = _BLANK_LINES.match(text)
        body = text[blank.end() :] if blank else text
        above = text.count("\n") - body.count("\n")
        code = self._shell.transform_cell(body) if body.strip() else ""
        if shown is not None:
            above += shown.count("\n") - text.count("\n")
        all_of_it = text if shown is None else shown
        source = Source(self._filename(kind, all_of_it), "\n" * above + code, all_of_it)
        self.register(source)
        if shown is not None:  # IPython counts a cell as soon as it starts
            self._name_as_cell(source.filename, max(self._shell.execution_count - 1, 1))
        return source

    def _filename(self, kind: str, shown: str) -> str:
        filename = self._filenames.get((kind, shown))
        if filename is None:
            filename = self._filenames[kind, shown] = f"<{kind}-{len(self._filenames) + 1}>"
        return filename

    def at_its_line(self, error: CellSyntaxError, magic: str) -> CellSyntaxError:
        """Return the error of a line magic at the line of the cell it stands in, if that can be found.

        Args:
            error: It counts in the code of the magic.
            magic: The magic as it was typed, marks and name included.
        """
        cells: Mapping[str, int] = getattr(self._shell.compile, "_filename_map", {})
        frame: types.FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_filename not in cells:
            frame = frame.f_back
        if frame is None or error.lineno != 1:
            return error
        cell = frame.f_code.co_filename
        lineno, line = self._line_of(cells[cell], frame.f_lineno, magic)
        # A file of its own: IPython knows the cell's lines as Python sees them, without its percent signs.
        filename = f"{error.filename} {cell}:{lineno}"
        self.register(Source(filename, "", "\n" * (lineno - 1) + line))
        self._name_as_cell(filename, cells[cell])
        code = error.text or ""
        ahead = line.find(code.strip()) - (len(code) - len(code.lstrip()))
        if error.offset is None or code.strip() not in line:
            return CellSyntaxError(error.msg, (filename, lineno, None, line))
        end = error.end_offset + ahead if error.end_offset and error.end_offset > 0 else None
        return CellSyntaxError(error.msg, (filename, lineno, error.offset + ahead, line, lineno, end))

    def _line_of(self, cell: int, lineno: int, magic: str) -> tuple[int, str]:
        """Return the number of a line of a cell and the line as it was typed, as far as the history has it."""
        history = getattr(self._shell.history_manager, "input_hist_raw", ())
        raw = history[cell] if cell < len(history) else ""
        blank = _BLANK_LINES.match(raw)  # Python has not seen these
        typed = lineno + (blank[0].count("\n") if blank else 0)
        lines = raw.splitlines()
        if typed <= len(lines) and magic in lines[typed - 1]:
            return typed, lines[typed - 1]
        return lineno, magic

    def _name_as_cell(self, filename: str, cell: int) -> None:
        """Have IPython write "Cell In[7]" for a file."""
        names = getattr(self._shell.compile, "_filename_map", None)
        if isinstance(names, dict):
            names[filename] = cell

    @staticmethod
    def register(source: Source) -> None:
        """Let tracebacks show the lines that the user sees."""
        # No time stamp: linecache.checkcache then never asks for a file.
        lines = source.shown.splitlines(keepends=True)
        linecache.cache[source.filename] = (len(source.shown), None, lines, source.filename)

    @staticmethod
    def parse(source: Source) -> ast.Module:
        """Parse the code of ``source``; what only the compiler finds is found later.

        Raises:
            CellSyntaxError: it cannot be read; the error stands at its line of the cell.
        """
        try:
            return ast.parse(source.code, source.filename)
        except (SyntaxError, ValueError) as error:
            raise cell_error(error, source) from None

    def check(self, source: Source, code: str | None = None) -> ast.Module:
        """Parse and compile ``code`` (or that of ``source``), as a cell may be written.

        Raises:
            CellSyntaxError: it cannot be read; the error stands at its line of the cell.
        """
        text = source.code if code is None else code
        try:
            tree = ast.parse(text, source.filename)
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | (self._shell.compile.flags & _FUTURES)
            compile(text, source.filename, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise cell_error(error, source) from None
        return tree

    def function(
        self,
        source: Source,
        scope: Mapping[str, Any] | None,
        parameters: tuple[str, ...] = (),
        tree: ast.Module | None = None,
    ) -> Callable[..., Any]:
        """Return the code of ``source`` as a function whose value is its last expression.

        Args:
            source: The code.
            scope: The local names of the function that the magic stands in; those that the code reads are captured
                with the values they have now. None at the top of a cell. Globals stay globals.
            parameters: Names that each call gives.
            tree: What to compile in place of the code of ``source``.

        Raises:
            CellSyntaxError: see `check`; also ``return`` and ``yield`` outside of a function of the code's own.
        """
        scope = scope or {}
        if tree is None:
            tree = self.check(source)
        _refuse_leaving(tree, source)
        captured = tuple(sorted(_read_names(tree) & set(scope) - set(parameters)))
        key = (source.filename, captured, parameters)
        code = self._factories.pop(key, None)
        if code is None:
            code = self._factory(tree, source, captured, parameters)
        self._factories[key] = code
        if len(self._factories) > _KEPT:
            del self._factories[next(iter(self._factories))]
        make = types.FunctionType(code, self._shell.user_ns)
        made: Callable[..., Any] = make(*(scope[name] for name in captured))
        return made

    def _factory(
        self, tree: ast.Module, source: Source, captured: tuple[str, ...], parameters: tuple[str, ...]
    ) -> types.CodeType:
        """Return the code of a function that takes the captured values and returns the function.

        A function within a function is the one way to make closures that Python itself knows, so that everything that
        can take a closure apart (pickling above all) can take these.
        """
        body = list(tree.body) or [ast.Pass()]
        last = body[-1]
        if isinstance(last, ast.Expr):
            body[-1] = ast.copy_location(ast.Return(last.value), last)
        inner = _define(_INNER, body, parameters, asynchronous=_is_async(tree))
        back: ast.stmt = ast.Return(ast.Name(_INNER, ast.Load()))
        module = ast.Module([_define(_OUTER, [inner, back], captured)], [])
        ast.fix_missing_locations(module)
        flags = self._shell.compile.flags & _FUTURES
        try:
            code = compile(module, source.filename, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise cell_error(error, source) from None
        outer = _code_in(code, _OUTER)
        renamed = _code_in(outer, _INNER).replace(co_name=source.filename, co_qualname=source.filename)
        consts = tuple(renamed if _is_code(const, _INNER) else const for const in outer.co_consts)
        return outer.replace(co_consts=consts)


def cell_error(error: SyntaxError | ValueError, source: Source) -> CellSyntaxError:
    """Return ``error`` as one that shows the user's own line."""
    lines = source.shown.splitlines()
    line = error.lineno if isinstance(error, SyntaxError) else None
    if line is None:  # of a null byte Python says no more than that there is one
        line = source.code.count("\n", 0, max(source.code.find("\0"), 0)) + 1
    if not isinstance(error, SyntaxError):
        return CellSyntaxError(str(error), (source.filename, line, None, None))
    shown = lines[line - 1] if 0 < line <= len(lines) else error.text
    # The columns count in the transformed line; where that is another one, they point at nothing.
    same = shown is not None and error.text is not None and shown.strip() == error.text.strip()
    place = (source.filename, line, error.offset if same else None, shown)
    ends = (error.end_lineno, error.end_offset) if same else (None, None)
    return CellSyntaxError(error.msg, (*place, *ends))


class _Names(ast.NodeVisitor):
    """Collects the names that are read anywhere in some code."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        """A plain name; ``del x`` and ``x += 1`` need its value too, but then it is the code's own."""
        if isinstance(node.ctx, ast.Load):
            self.read.add(node.id)


def _read_names(tree: ast.AST) -> set[str]:
    names = _Names()
    names.visit(tree)
    return names.read


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_statements(nodes: Iterable[ast.AST], leave_out: tuple[type[ast.AST], ...] = ()) -> Iterable[ast.AST]:
    """Walk through code, but not into the functions, classes and lambdas that it defines, nor into ``leave_out``."""
    for node in nodes:
        yield node
        if not isinstance(node, (*_SCOPES, *leave_out)):
            yield from own_statements(ast.iter_child_nodes(node), leave_out)


def _refuse_leaving(tree: ast.Module, source: Source) -> None:
    for node in own_statements(tree.body):
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)):
            word = "return" if isinstance(node, ast.Return) else "yield"
            lines = source.shown.splitlines()
            text = lines[node.lineno - 1] if node.lineno <= len(lines) else None
            raise CellSyntaxError(f"'{word}' outside function", (source.filename, node.lineno, None, text))


def _is_async(tree: ast.Module) -> bool:
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(
        isinstance(node, waits) or (isinstance(node, ast.comprehension) and node.is_async)
        for node in own_statements(tree.body)
    )


def _define(
    name: str, body: list[ast.stmt], parameters: tuple[str, ...], *, asynchronous: bool = False
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    kind = ast.AsyncFunctionDef if asynchronous else ast.FunctionDef
    definition = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    arguments = ast.arguments([], [ast.arg(parameter) for parameter in parameters], None, [], [], None, [])
    fields = {**dict(ast.iter_fields(definition)), "args": arguments, "body": body}
    return kind(**fields)


def _is_code(const: object, name: str) -> bool:
    return isinstance(const, types.CodeType) and const.co_name == name


def _code_in(code: types.CodeType, name: str) -> types.CodeType:
    found = next(const for const in code.co_consts if _is_code(const, name))
    assert isinstance(found, types.CodeType)
    return found
