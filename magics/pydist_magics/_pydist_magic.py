"""``%pydist``: what belongs to no call and no worker."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core import page

from pydist_magics._command import Command, Mistake
from pydist_magics._magic import Call, Magic
from pydist_magics._words import words

__all__ = ["MAGICS"]

PYDIST = Command(
    "pydist",
    ("%pydist output [N]", "%pydist traceback"),
    "output: all that workers wrote for call N, or for the last one, also what its cell left out. traceback: the last "
    "error again, with all frames.",
    examples=("%pydist output 7", "%pydist traceback"),
)


def run(call: Call) -> None:
    """Do what the first word says."""
    texts = [word.text for word in words(call.line.rest)]
    topics = {"output": _output, "traceback": _traceback}
    topic = topics.get(texts[0]) if texts else None
    if topic is None:
        what = f"{texts[0]!r} is unknown; it" if texts else "it"
        raise Mistake(f"{what} knows {', '.join(topics)}")
    topic(call, texts[1:])


def _output(call: Call, texts: list[str]) -> None:
    log = call.session.router.log
    origins = log.origins()
    if len(texts) > 1 or (texts and not texts[0].isdecimal()):
        raise Mistake(f"output takes the number of a call, not {' '.join(texts)!r}")
    if not origins:
        raise Mistake("no worker has written anything yet")
    origin = int(texts[0]) if texts else origins[-1]
    text = log.text(origin)
    if text is None:
        raise Mistake(f"there is no output of a call {origin}; there is some of {', '.join(map(str, origins[-10:]))}")
    if not log.complete(origin):
        text += "... the rest was too much to keep\n"
    page.page(text)


def _traceback(call: Call, texts: list[str]) -> None:
    if texts:
        raise Mistake("traceback takes nothing")
    error: Any = getattr(sys, "last_value", None)
    if error is None:
        raise Mistake("there has been no error yet")
    print("\n".join(call.session.errors.lines(error, error.__traceback__, fold=False)))  # noqa: T201


MAGICS = (Magic("line", PYDIST, run),)
