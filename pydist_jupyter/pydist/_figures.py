"""A backend for matplotlib on workers: ``plt.show()`` puts the figures into the cell that started the call.

Workers find it by MPLBACKEND. In any other process it draws and shows nothing.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pydist._displays import display_message, publish
from pydist._runtime.current import current_node

__all__ = ["FigureCanvas", "FigureManager", "png_of"]


def png_of(figure: Any) -> bytes:
    """Draw a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return file.getvalue()


class FigureManager(FigureManagerBase):
    """Shows figures by sending them away."""

    @classmethod
    def pyplot_show(cls, *, block: bool | None = None) -> None:
        """Show all figures and close them, as in a notebook; ``block`` means nothing here."""
        try:
            for manager in Gcf.get_all_fig_managers():  # type: ignore[no-untyped-call, unused-ignore]
                cls._show(manager.canvas.figure)
        finally:
            Gcf.destroy_all()

    @staticmethod
    def _show(figure: Any) -> None:
        if current_node().output is not None and figure.get_axes():
            data = {"image/png": png_of(figure), "text/plain": repr(figure)}
            publish("display_data", display_message(data, None, None))


class FigureCanvas(FigureCanvasAgg):
    """Draws into memory."""

    manager_class = FigureManager  # type: ignore[assignment, unused-ignore]
