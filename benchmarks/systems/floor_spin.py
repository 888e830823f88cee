"""The floor, with both sides trying for a moment before they sleep."""

from __future__ import annotations

from benchmarks.measure import main
from benchmarks.systems.floor import Floor


class SpinningFloor(Floor):
    name = "floor, spinning"
    tries = 25


if __name__ == "__main__":
    main(SpinningFloor)
