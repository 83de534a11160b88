"""The two kinds of picture a widget can show.

Both give, for a State, the live content (SVG text that the widget sends to the browser) and a PNG
(what a static page shows). Neither makes a new figure for an update.

`FigurePicture(build, draw)`: the frames of a matplotlib figure (`lib.display.frames`); with
`touch`, what can be touched lies on top.

`DrawingPicture(draw)`: `draw(state)` returns a `Drawing`: for bars, heatmaps and tokens that must
feel instant.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from matplotlib.axes import Axes

from lib.display.drawing import Drawing
from lib.display.frames import DPI, Frames
from lib.widgets.touch import Front, Handle, Spot

S = TypeVar("S")
A = TypeVar("A")


class _Shown:
    """What both kinds of picture do with `widget`, the picture in the browser."""

    widget: Front

    def show(self, content: str) -> None:
        """Send a frame to the browser."""
        self.widget.value = content

    def current(self) -> str:
        """Return the frame sent last."""
        return self.widget.value


class FigurePicture(_Shown, Frames[S, A]):
    """A matplotlib figure, 100 CSS pixels to the inch, in a widget.

    `touch(artists, state)` returns what can be touched, in CSS pixels: `place` and `ends` help.
    """

    def __init__(
        self,
        build: Callable[..., A],
        draw: Callable[[A, S], None],
        size: tuple[float | int, float | int] = (7.2, 3.0),
        touch: Callable[[A, S], Sequence[Spot | Handle]] = lambda artists, state: (),
    ) -> None:
        super().__init__(build, draw, size)
        self._touch, self.height = touch, round(DPI * size[1])
        self.widget = Front()

    def content(self, state: S) -> str:
        """Return the live frame as SVG text: the pixels, and what can be touched."""
        pixels = base64.b64encode(super().content(state)).decode()
        size = f'width="{self.width}" height="{self.height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width} '
            f'{self.height}" style="max-width:100%;height:auto"><image {size} '
            f'href="data:image/png;base64,{pixels}"/>{self._layer(state)}</svg>'
        )

    def svg(self, state: S) -> str:
        """Return the frame as SVG text, lines as lines; matplotlib's has 72 units to the inch."""
        drawn, layer = super().svg(state), self._layer(state)
        return drawn.replace("</svg>", f'<g transform="scale({72 / DPI})">{layer}</g></svg>')

    def _layer(self, state: S) -> str:
        return "".join(shape.svg() for shape in self._touch(self._artists, state))


def place(axes: Axes, x: float | int, y: float | int) -> tuple[float, float]:
    """Return where a point of a plot lies, in CSS pixels from the picture's top left corner."""
    across, up = axes.transData.transform((x, y)) * DPI / axes.figure.dpi
    return float(across), float(axes.figure.get_figheight() * DPI - up)


def ends(axes: Axes, low: float | int, high: float | int) -> tuple[float, float]:
    """Return the pixels across of two values of a plot's x axis."""
    height = axes.get_ylim()[1]
    return place(axes, low, height)[0], place(axes, high, height)[0]


class DrawingPicture(_Shown, Generic[S]):
    """An SVG picture; `draw(state)` returns the shapes. The width must not change."""

    def __init__(self, draw: Callable[[S], Drawing], width: int = 720) -> None:
        self._draw, self.width = draw, width
        self.widget = Front()

    def content(self, state: S) -> str:
        """Return the live frame as SVG text."""
        return self._drawing(state).svg()

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
