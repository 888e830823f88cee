"""Numbers as people read them: durations, sizes, rates, times of day."""

from __future__ import annotations

import time

__all__ = ["NOTHING", "clock", "duration", "percent", "rate", "size"]

NOTHING = "-"
"""What stands where a number is not known."""

_SIZES = ("kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """Return ``0.4 s``, ``12.3 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if seconds < 59.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = whole // 60
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: int | None) -> str:
    """Return ``512 B``, ``1.2 kB`` or ``85 MB``: two or three digits, powers of ten."""
    if count is None:
        return NOTHING
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in _SIZES:
        scaled /= 1000
        # 999.6 would be shown as "1000": that is one of the next unit.
        if scaled < 999.5 or unit == _SIZES[-1]:
            break
    return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"


def rate(count: int, seconds: float) -> str:
    """Return how many a second, or a minute if that is less than one a second."""
    if seconds <= 0 or count <= 0:
        return NOTHING
    speed = count / seconds
    if speed < 1:
        return f"{speed * 60:.1f}/min"
    return f"{speed:.1f}/s" if speed < 99.95 else f"{speed:,.0f}/s"


def percent(share: float | None) -> str:
    """Return ``85 %`` of one core."""
    return NOTHING if share is None else f"{share:.0f} %"


def clock(moment: float, now: float) -> str:
    """Return the local time of day, with the date in front if that is not today's."""
    then, today = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", then)
