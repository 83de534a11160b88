"""The two kinds of picture a widget can show.

Both give, for a State, the live content (what the widget sends to the browser) and a PNG (what a
static page shows). Neither makes a new figure for an update.

`FigurePicture(build, draw)`: the frames of a matplotlib figure (`lib.display.frames`), sent to
`widgets.Image`.

`DrawingPicture(draw)`: `draw(state)` returns a `Drawing`, sent as SVG text to `widgets.HTML`: for
bars, heatmaps and tokens that must feel instant.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import ipywidgets

from lib.display.drawing import Drawing
from lib.display.frames import Frames

S = TypeVar("S")
A = TypeVar("A")


class FigurePicture(Frames[S, A]):
    """A matplotlib figure, 100 CSS pixels to the inch, in a widget."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.widget = ipywidgets.Image(  # shrinks, undistorted, in a narrow window
            format="png",
            layout={
                "width": f"{self.width}px",
                "max_width": "100%",
                "height": "auto",
                "margin": "0",
            },
        )

    def show(self, content: bytes) -> None:
        """Send a frame to the browser."""
        self.widget.value = content

    def current(self) -> bytes:
        """Return the frame sent last."""
        return bytes(self.widget.value)


class DrawingPicture(Generic[S]):
    """An SVG picture; `draw(state)` returns the shapes. The width must not change."""

    def __init__(self, draw: Callable[[S], Drawing], width: int = 720) -> None:
        self._draw, self.width = draw, width
        self.widget = ipywidgets.HTML()

    def content(self, state: S) -> str:
        """Return the live frame as SVG text."""
        return self._drawing(state).svg()

    def show(self, content: str) -> None:
        """Send a frame to the browser."""
        self.widget.value = content

    def current(self) -> str:
        """Return the frame sent last."""
        return self.widget.value

    def png(self, state: S) -> bytes:
        """Return the frame for a static page."""
        return self._drawing(state).png()

    def svg(self, state: S) -> str:
        """Return the frame as SVG text."""
        return self.content(state)

    def _drawing(self, state: S) -> Drawing:
        drawing = self._draw(state)
        if drawing.width != self.width:
            raise ValueError(
                f"the drawing is {drawing.width} px wide, not {self.width} as declared"
            )
        return drawing
