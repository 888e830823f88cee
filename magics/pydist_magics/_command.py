"""What a magic understands on its line: the options as data, from which parsing, help and completion all come.

``argparse`` cannot do this part: most lines end in code, which must arrive as it was typed, quotes and blanks included.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Literal

from pydist_magics._words import Word, shortest_expression, words

__all__ = ["OUTPUT", "Command", "Line", "Mistake", "Option", "Topic"]


class Mistake(ValueError):
    """The user's line is wrong; the text is the sentence that says how."""


@dataclass(frozen=True)
class Option:
    """One option: ``--timeout SECONDS``.

    Attributes:
        flags: How it may be written; the last one names it in ``Line.options``.
        value: What stands for its value in the help; empty for a switch.
        help: One sentence.
        expression: The value is a Python expression, and may have blanks in it.
        repeat: It may stand several times.
        choices: Words that may be its value, for completion.
    """

    flags: tuple[str, ...]
    value: str
    help: str
    expression: bool = False
    repeat: bool = False
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name without its dashes: ``batch_size``."""
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def spelling(self) -> str:
        """How the help writes it."""
        return ", ".join(self.flags) + (f" {self.value}" if self.value else "")


@dataclass(frozen=True)
class Topic:
    """A word that may stand first on a line.

    Attributes:
        name: The word.
        rest: What may follow it, for the help.
        help: One sentence.
    """

    name: str
    rest: str
    help: str

    @property
    def spelling(self) -> str:
        """How the help writes it."""
        return f"{self.name} {self.rest}".rstrip()


OUTPUT = Option(("-o", "--output"), "NAME", "bind the result to this name")
HELP = Option(("-h", "--help"), "", "show this and do nothing else")


@dataclass
class Line:
    """A line that was read.

    Attributes:
        options: Values by option name: text, True for a switch, a list where it may be repeated.
        rest: What is no option, as it was typed.
    """

    options: dict[str, str | bool | list[str]] = field(default_factory=dict)
    rest: str = ""

    def text(self, name: str) -> str | None:
        """Return the value of an option, or None if it was not given."""
        value = self.options.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str]:
        """Return the values of an option that may be repeated."""
        value = self.options.get(name, [])
        return value if isinstance(value, list) else []

    def flag(self, name: str) -> bool:
        """Say whether a switch was given."""
        return bool(self.options.get(name))

    def seconds(self, name: str) -> float | None:
        """Return the value of an option as seconds."""
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0:
            raise Mistake(f"--{name} takes seconds, not {text!r}")
        return value

    def count(self, name: str, least: int) -> int | None:
        """Return the value of an option as a whole number of at least ``least``."""
        text = self.text(name)
        if text is None:
            return None
        if not text.isdecimal() or int(text) < least:
            raise Mistake(f"--{name.replace('_', '-')} takes a whole number from {least} up, not {text!r}")
        return int(text)


@dataclass(frozen=True)
class Command:
    """The line of one magic.

    Attributes:
        name: Without the percent signs.
        usage: One or more forms, as the help shows them.
        summary: What it does, in sentences.
        options: What it knows besides ``--help``.
        code: Where code stands on the line: nowhere, behind the leading options, or with options on either side.
        examples: Lines to try.
        processes: Where processes stand: nowhere, as one word before the code, or as any number of words, process 1
            among them or not.
        topics: Words that may stand first, each with what follows it and what it means.
    """

    name: str
    usage: tuple[str, ...]
    summary: str
    options: tuple[Option, ...] = ()
    code: Literal["none", "last", "amid"] = "none"
    examples: tuple[str, ...] = ()
    processes: Literal["none", "first", "many", "workers"] = "none"
    topics: tuple[Topic, ...] = ()

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The options, ``--help`` last."""
        return (*self.options, HELP)

    def help(self) -> str:
        """Return the whole help text."""
        parts = ["\n".join(self.usage), textwrap.fill(self.summary, 88)]
        if self.topics:
            parts.append(_columns([(topic.spelling, topic.help) for topic in self.topics]))
        parts.append(_columns([(option.spelling, option.help) for option in self.all_options]))
        if self.examples:
            parts.append("Examples:\n" + "\n".join(f"  {example}" for example in self.examples))
        return "\n\n".join(parts) + "\n"

    def parse(self, line: str) -> Line:
        """Take the options out of ``line``.

        Raises:
            Mistake: an option that is not known or lacks its value.
        """
        parts = words(line)
        result = Line()
        kept: list[tuple[int, int]] = []  # the stretches of the line that are no option
        at = 0
        index = 0
        while index < len(parts):
            word = parts[index]
            option, value = self._option(word)
            if option is None:
                if self.code == "last":
                    break
                index += 1
                continue
            kept.append((at, word.start))
            index, at = self._take(result, line, parts, index, option, value)
        kept.append((at, len(line)))
        result.rest = " ".join(filter(None, (line[start:end].strip() for start, end in kept)))
        return result

    def _option(self, word: Word) -> tuple[Option | None, str | None]:
        """Return the option that ``word`` is, with the value after its ``=`` if there is one."""
        if not word.text.startswith("-"):
            return None, None
        flag, equals, value = word.text.partition("=")
        for option in self.all_options:
            if flag in option.flags:
                return option, value if equals else None
        if not (flag.startswith("--") and flag[2:3].isalpha()):
            return None, None  # a minus of the code, or a negative number
        known = ", ".join(option.flags[-1] for option in self.all_options)
        raise Mistake(f"there is no option {flag}; it has {known}")

    def _take(
        self, result: Line, line: str, parts: list[Word], index: int, option: Option, value: str | None
    ) -> tuple[int, int]:
        """Note ``option``, which is word ``index``; return the index of the next word and where the line goes on."""
        last = index
        if not option.value:
            if value is not None:
                raise Mistake(f"{option.flags[-1]} takes no value")
            result.options[option.name] = True
            return index + 1, parts[index].end
        if value is None:
            last = index + 1
            if last == len(parts):
                raise Mistake(f"{option.flags[-1]} needs a value: {option.spelling}")
            if option.expression:
                try:
                    last = shortest_expression(line, parts, last)
                except SyntaxError as error:
                    raise Mistake(f"{option.flags[-1]}: {error.msg}") from None
            value = line[parts[index + 1].start : parts[last].end]
        if not option.expression and len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]:
            value = value[1:-1]
        if option.repeat:
            result.options[option.name] = [*result.texts(option.name), value]
        elif option.name in result.options:
            raise Mistake(f"{option.flags[-1]} stands twice")
        else:
            result.options[option.name] = value
        return last + 1, parts[last].end


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows) + 2
    lines = [textwrap.wrap(right, 88 - width) or [""] for _, right in rows]
    return "\n".join(
        "\n".join([f"  {left:<{width}}{first}", *(f"  {'':<{width}}{line}" for line in more)])
        for (left, _), (first, *more) in zip(rows, lines, strict=True)
    )
