"""Completion on the lines of magics: options, processes, and where code is expected whatever IPython finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pydist_magics._command import Command
from pydist_magics._words import words

__all__ = ["Offer", "offers", "split_line"]

_LINE = re.compile(r"^\s*(?:[\w.\[\], ]+=\s*)?(%%?)(\w+)(?:\s(.*))?$", re.DOTALL)
_MASTER = 1
# What may stand in the place of an id; several processes cannot be any one of them.
_WORDS_FOR_PROCESSES = {"first": ("any", "all"), "many": ("all",), "workers": ("all",)}


@dataclass(frozen=True)
class Offer:
    """One completion: what it replaces ends at the cursor."""

    text: str
    kind: str


def split_line(before: str) -> tuple[str, str, str] | None:
    """Return the kind, the name and the rest of a magic's line, None if it is none or the name may go on."""
    match = _LINE.match(before)
    if match is None or match[3] is None:
        return None
    return "cell" if match[1] == "%%" else "line", match[2], match[3]


def offers(
    before: str, find: Callable[[str, str], Command | None], procs: Callable[[], Sequence[int]]
) -> tuple[list[Offer], str] | None:
    """Return what may stand at the cursor, and the part before it that it would replace.

    Args:
        before: The line up to the cursor.
        find: Gives the command of a magic by ``"line"`` or ``"cell"`` and its name.
        procs: Gives the processes there are.

    Returns:
        None if the line is not that of one of our magics, or if code stands at the cursor.
    """
    line = split_line(before)
    if line is None:
        return None
    kind, name, rest = line
    command = find(kind, name)
    if command is None:
        return None
    parts = words(rest)
    partial = parts.pop().text if parts and parts[-1].end == len(rest) else ""
    previous = parts[-1].text if parts else ""
    waiting = next((option for option in command.options if option.value and previous in option.flags), None)
    if waiting is not None:
        found = [Offer(choice, "value") for choice in waiting.choices]
        return _starting(found + (_processes(procs(), ()) if waiting.value == "P" else []), partial), partial
    plain = [part for part in parts if not part.text.startswith("-")]
    if command.code == "last" and len(plain) >= max(command.processes == "first", 1):
        return None  # the code has begun
    if partial.startswith("-"):
        given = {flag for part in parts for flag in (part.text.partition("=")[0],)}
        found = [
            Offer(option.flags[-1], "option")
            for option in command.all_options
            if option.repeat or not given & set(option.flags)
        ]
        return _starting(found, partial), partial
    if command.topics and not plain:
        return _starting([Offer(topic.name, "topic") for topic in command.topics], partial), partial
    if command.processes != "none" and not (command.processes == "first" and plain):
        pids = [pid for pid in procs() if pid != _MASTER or command.processes != "workers"]
        found = _processes(pids, _WORDS_FOR_PROCESSES[command.processes])
        # A name of the user's may stand for a process too: unless an id has begun, let IPython say its own.
        return (_starting(found, partial), partial) if not partial or partial[0].isdigit() else None
    return None


def _processes(procs: Iterable[int], others: Iterable[str]) -> list[Offer]:
    return [*(Offer(str(pid), "process") for pid in sorted(procs)), *(Offer(word, "process") for word in others)]


def _starting(found: list[Offer], partial: str) -> list[Offer]:
    return [offer for offer in found if offer.text.startswith(partial)]
