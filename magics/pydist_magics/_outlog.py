"""How much text of workers a cell shows, and the rest of it for whoever asks."""

from __future__ import annotations

__all__ = ["OutputLog"]

MEGABYTE = 1_000_000


class _Record:
    """The text of one cell."""

    __slots__ = ("chunks", "kept", "left_bytes", "left_lines", "shown", "told")

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self.kept = 0
        self.shown = 0
        self.left_bytes = 0
        self.left_lines = 0
        self.told = False


class OutputLog:
    """Counts the text of each cell, cuts what is too much, and keeps the whole of it within bounds.

    A browser chokes on what a loop on four workers writes in a second, and a notebook server drops what comes too fast
    without saying what it was. So a cell shows its first ``limit`` bytes, and the rest can be asked for.

    Args:
        limit: Bytes that a cell shows.
        keep: Bytes kept of one cell, from its beginning.
        keep_all: Bytes kept of all cells together; the oldest cell goes first.
    """

    def __init__(self, limit: int = MEGABYTE, keep: int = 16 * MEGABYTE, keep_all: int = 64 * MEGABYTE) -> None:
        self.limit = limit
        self._keep = keep
        self._keep_all = keep_all
        self._records: dict[int, _Record] = {}
        self._kept = 0

    def admit(self, origin: int, text: str) -> str:
        """Note ``text`` and return the part of it that shall be shown: whole lines."""
        record = self._records.get(origin)
        if record is None:
            record = self._records[origin] = _Record()
        size = _size(text)
        self._store(record, text, size)
        if not record.left_bytes and record.shown + size <= self.limit:
            record.shown += size
            return text
        visible = "" if record.left_bytes else _whole_lines(text, self.limit - record.shown)
        shown = _size(visible)
        record.shown += shown
        record.left_bytes += size - shown
        record.left_lines += _lines(text) - _lines(visible)
        return visible

    def _store(self, record: _Record, text: str, size: int) -> None:
        if record.kept + size <= self._keep:
            record.chunks.append(text)
            record.kept += size
            self._kept += size
        while self._kept > self._keep_all and len(self._records) > 1:
            oldest = next(iter(self._records))
            if self._records[oldest] is record:
                break
            self._kept -= self._records.pop(oldest).kept

    def note(self, origin: int, ended: bool = True) -> str:
        """Return the line that says what ``origin`` left out; once, and nothing if it left nothing out.

        Args:
            origin: the cell.
            ended: no more is to come, so how much it was can be said.
        """
        record = self._records.get(origin)
        if record is None or record.told or not record.left_bytes:
            return ""
        record.told = True
        if not ended:
            return f"... what follows is left out; %pydist output {origin} shows all\n"
        return self.left_out(origin)

    def left_out(self, origin: int) -> str:
        """Return that line as it is now."""
        record = self._records.get(origin)
        if record is None or not record.left_bytes:
            return ""
        size, lines = record.left_bytes, record.left_lines
        plural = "" if lines == 1 else "s"
        return f"... {size:,} bytes ({lines:,} line{plural}) left out; %pydist output {origin} shows all\n"

    def shown(self, origin: int) -> int:
        """Return how many bytes ``origin`` shows."""
        record = self._records.get(origin)
        return 0 if record is None else record.shown

    def text(self, origin: int) -> str | None:
        """Return all that is kept of ``origin``'s text, None if nothing is."""
        record = self._records.get(origin)
        return None if record is None else "".join(record.chunks)

    def complete(self, origin: int) -> bool:
        """Say whether `text` is really all."""
        record = self._records.get(origin)
        return record is not None and record.kept == record.shown + record.left_bytes

    def origins(self) -> list[int]:
        """Return the origins of which there is text, oldest first."""
        return list(self._records)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _lines(text: str) -> int:
    return text.count("\n") + (text != "" and not text.endswith("\n"))


def _whole_lines(text: str, room: int) -> str:
    """Return the lines at the beginning of ``text`` that fit into ``room`` bytes."""
    # No character is shorter than a byte, so `room` characters hold all that can fit.
    end = text.rfind("\n", 0, max(room, 0)) + 1
    while end and _size(text[:end]) > room:
        end = text.rfind("\n", 0, end - 1) + 1
    return text[:end]
