"""Front ends of several kinds in front of a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.kernel.driver import Cell, LiveKernel, Specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FrontEnd", "kernels"]


class FrontEnd(LiveKernel):
    """A kernel as a front end of some kind uses it.

    Args:
        plain: ipykernel instead of ours.
        live: tell the cell's id, as JupyterLab does; else be like nbclient.
        workers: how many to start before the first cell.
    """

    def __init__(self, *, plain: bool = False, live: bool = True, workers: int = 2) -> None:
        specs = Specs(module="ipykernel_launcher") if plain else None
        super().__init__(specs=specs, workers=None if plain else workers)
        self._plain = plain
        self._live = live
        self._wanted = workers

    def __enter__(self) -> Self:
        super().__enter__()
        # Ours has its workers before the first cell, but not before there is one.
        self.run(f"%load_ext pydist\npids = %addprocs {self._wanted}" if self._plain else "pass")
        return self

    def begin(self, code: str, **options: Any) -> Cell:
        """Send a cell, as this kind of front end does."""
        metadata: Mapping[str, Any] = {"cellId": f"cell-{len(self._cells)}"} if self._live else {}
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": self._live,
            "stop_on_error": True,
            **options,
        }
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return self.watch(message["header"]["msg_id"])


def kernels(*kinds: str, workers: int = 2, first: tuple[str, ...] = ()) -> Any:
    """Return a fixture for a whole file: a kernel of each of these kinds.

    Args:
        kinds: ours or plain, live or headless; what is not said is ours and live.
        workers: how many each has.
        first: the cells that it has run before the tests.
    """

    @pytest.fixture(scope="module", params=kinds if len(kinds) > 1 else None)
    def kernel(request: pytest.FixtureRequest) -> Iterator[FrontEnd]:
        kind = getattr(request, "param", kinds[0]).split()
        with FrontEnd(plain="plain" in kind, live="headless" not in kind, workers=workers) as kernel:
            for cell in first:
                kernel.run(cell)
            yield kernel

    return kernel
