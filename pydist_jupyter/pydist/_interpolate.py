"""``$name`` and ``$(expr)`` in Python code: which objects go along with it, and under which names.

    code, bindings = interpolate("y = $x + len($(f(3)))", evaluator({"x": big, "f": f}))
    code      'y = __pydist_0 + len(__pydist_1)'
    bindings  {'__pydist_0': big, '__pydist_1': f(3)}

Only code is looked at: a dollar in a string literal or a comment is the user's own, and so is one anywhere in an
f-string, its replacement fields included. ``$$`` stands for one dollar. Lines keep their numbers.

The scanner is our own because ``tokenize`` has no steady answer for a dollar: Python 3.11 calls it an error token, 3.12
an operator, and both give up on the rest of a text that has a slip further down.
"""

from __future__ import annotations

import ast
import keyword
import re
import sys
import types
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["evaluator", "interpolate"]

_WORD = re.compile(r"\w+")
_NAME = re.compile(r"[^\W\d]\w*")
_PREFIX = re.compile(r"(?i:[rubft]|[bft]r|r[bft])\Z")
# Since PEP 701 a replacement field may hold any string, its own kind of quote included.
_NESTED_FIELDS = sys.version_info >= (3, 12)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


class _Insertion(NamedTuple):
    """One place in the code that names an object: ``code[start:end]`` is ``source``, ``text`` is what is evaluated."""

    start: int
    end: int
    source: str
    text: str


def interpolate(code: str, lookup: Callable[[str], Any], filename: str = "<everywhere>") -> tuple[str, dict[str, Any]]:
    """Put names in the place of ``$name`` and ``$(expr)`` and return the code with what those names stand for.

    The names are numbered from 0 in each piece of code. A function that the code defines looks them up when it is
    *called*, so whoever runs several pieces in one namespace must rename them.

    Args:
        code: Python source; it need not be free of errors, the compiler will find them later.
        lookup: Gives the object for the text of a name or an expression. See ``evaluator``.
        filename: The file a SyntaxError shall name.

    Raises:
        SyntaxError: a dollar that nothing or no value follows, or one that stands where no value may stand.
        NameError: an expression uses a name that ``lookup`` does not know.
    """
    if "$" not in code:
        return code, {}
    parts: list[str] = []
    bindings: dict[str, Any] = {}
    named: dict[str, str] = {}  # text of a plain name -> generated name; an expression is evaluated each time it stands
    insertions: list[tuple[str, _Insertion]] = []
    at = number = 0
    for insertion in _insertions(code, filename):
        parts.append(code[at : insertion.start])
        at = insertion.end
        if not insertion.text:
            parts.append("$")
            continue
        plain = _NAME.fullmatch(insertion.text) is not None
        if plain and insertion.text in named:
            name = named[insertion.text]
        else:
            while (name := f"__pydist_{number}") in code:
                number += 1
            number += 1
            bindings[name] = _look_up(insertion, lookup, code, filename)
            if plain:
                named[insertion.text] = name
        lines = insertion.source.count("\n")
        parts.append(f"({name}{chr(10) * lines})" if lines else name)
        insertions.append((name, insertion))
    parts.append(code[at:])
    result = "".join(parts)
    _check_places(result, code, insertions, filename)
    return result, bindings


def evaluator(*scopes: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return a ``lookup`` that evaluates in ``scopes``, the innermost first; the last one is the global namespace."""
    *inner, global_ns = scopes

    def look_up(text: str) -> Any:
        for scope in inner:
            if text in scope:
                return scope[text]
        # Brackets, so that an expression may run over several lines as it may in the cell.
        code = compile(f"({text})", "<$>", "eval")
        names = set(_names(code))
        overlay = {name: scope[name] for scope in reversed(inner) for name in names if name in scope}
        # One merged namespace and not eval(code, globals, locals): a comprehension or lambda does not see such locals.
        namespace = {**global_ns, **overlay} if overlay or not isinstance(global_ns, dict) else global_ns
        return eval(code, namespace)

    return look_up


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _names(const)


def _look_up(insertion: _Insertion, lookup: Callable[[str], Any], code: str, filename: str) -> Any:
    source, text = insertion.source, insertion.text
    if not text.strip() or (keyword.iskeyword(text) and text not in ("None", "True", "False")):
        raise _syntax_error(f"{source} names no value", code, insertion.start, filename)
    try:
        return lookup(text)
    except SyntaxError:
        raise _syntax_error(f"{source} is not a valid expression", code, insertion.start, filename) from None
    except (NameError, KeyError) as error:
        unknown = getattr(error, "name", None) or (text if isinstance(error, KeyError) else None)
        if unknown is None or (isinstance(error, KeyError) and error.args != (text,)):
            raise
        where = "" if unknown == text else f" in {source}"
        raise NameError(f"name '{unknown}'{where} is not defined here, so $ cannot insert it", name=unknown) from None
    except Exception as error:
        error.add_note(f"This happened while {source} was evaluated; nothing was sent.")
        raise


def _insertions(code: str, filename: str) -> Iterator[_Insertion]:
    """Find each dollar that stands in code. ``$$`` is one with an empty ``text``."""
    at = 0
    while at < len(code):
        if code[at] != "$":
            at = _skip(code, at)
            continue
        start = at
        if code.startswith("$$", at):
            at += 2
            yield _Insertion(start, at, "$$", "")
        elif name := _NAME.match(code, at + 1):
            at = name.end()
            yield _Insertion(start, at, code[start:at], name[0])
        elif code.startswith("$(", at):
            end = _closing(code, at + 1)
            if end < 0:
                raise _syntax_error("$( was never closed", code, start, filename)
            at = end + 1
            text = code[start + 2 : end]
            if not text.strip():
                raise _syntax_error("$() names no value", code, start, filename)
            yield _Insertion(start, at, code[start:at], text.strip())
        else:
            what = "a $ must be followed by a name or by an expression in parentheses; $$ stands for a dollar"
            raise _syntax_error(what, code, start, filename)


def _skip(code: str, at: int) -> int:
    """Return where the piece of code at ``at`` (a comment, a string, a word or one other character) ends."""
    char = code[at]
    if char == "#":
        end = code.find("\n", at)
        return len(code) if end < 0 else end
    if char in "'\"":
        return _skip_string(code, at, formatted=False)
    if word := _WORD.match(code, at):
        end = word.end()
        if end < len(code) and code[end] in "'\"" and _PREFIX.match(word[0]):
            formatted = _NESTED_FIELDS and any(letter in word[0] for letter in "fFtT")
            return _skip_string(code, end, formatted=formatted)
        return end
    return at + 1


def _skip_string(code: str, at: int, *, formatted: bool) -> int:
    """Return the end of the string literal whose quote is at ``at``; an unclosed one ends with its line or the text."""
    quote = code[at] * 3 if code.startswith(code[at] * 3, at) else code[at]
    at += len(quote)
    while at < len(code):
        char = code[at]
        if char == "\\":
            at += 1 if formatted and code.startswith("{", at + 1) else 2
        elif code.startswith(quote, at):
            return at + len(quote)
        elif char == "\n" and len(quote) == 1:
            return at
        elif formatted and char == "{":
            at = at + 2 if code.startswith("{{", at) else _skip_field(code, at + 1, quote)
        else:
            at += 1
    return len(code)


def _skip_field(code: str, at: int, quote: str) -> int:
    """Return the end of the replacement field that begins at ``at``, its format specification included."""
    depth = 0
    while at < len(code):
        char = code[at]
        if char == "}" and depth == 0:
            return at + 1
        if char == ":" and depth == 0:
            return _skip_format(code, at + 1, quote)
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        at = _skip(code, at)
    return len(code)


def _skip_format(code: str, at: int, quote: str) -> int:
    while at < len(code):
        if code[at] == "}":
            return at + 1
        if code.startswith(quote, at):  # a slip of the user's; the string ends here
            return at
        at = _skip_field(code, at + 1, quote) if code[at] == "{" else at + 1
    return len(code)


def _closing(code: str, at: int) -> int:
    """Return where the bracket at ``at`` is closed, -1 if it is not."""
    open_brackets: list[str] = []
    while at < len(code):
        char = code[at]
        if char in _BRACKETS:
            open_brackets.append(_BRACKETS[char])
        elif char in ")]}":
            if open_brackets.pop() != char:
                return -1
            if not open_brackets:
                return at
        at = _skip(code, at)
    return -1


def _check_places(result: str, code: str, insertions: list[tuple[str, _Insertion]], filename: str) -> None:
    """Refuse ``$x = 1``, ``a.$x``, ``f($x=1)``, ``def $x()``: they would compile and mean something else."""
    try:
        tree = ast.parse(result)
    except (SyntaxError, ValueError):
        return  # the compiler will say it, with its place
    wanted = {name for name, _ in insertions}
    read = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in wanted and isinstance(n.ctx, ast.Load)]
    for name in wanted:
        places = [insertion for other, insertion in insertions if other == name]
        if read.count(name) != len(places):
            place = places[-1]
            message = f"{place.source} stands for a value and cannot be used as a name"
            raise _syntax_error(message, code, place.start, filename)


def _syntax_error(message: str, code: str, at: int, filename: str) -> SyntaxError:
    begin = code.rfind("\n", 0, at) + 1
    end = code.find("\n", at)
    line = code[begin:] if end < 0 else code[begin:end]
    return SyntaxError(message, (filename, code.count("\n", 0, at) + 1, at - begin + 1, line))
