"""Frames of one figure, fast: what a widget or a player shows at each update.

`Frames(build, draw)`: matplotlib artists, built once by `build(figure)` and changed by
`draw(artists, state)`, rendered by Agg. What `build` returns is redrawn at each update, on top of
a stored background holding everything else (axes, ticks, labels). Touch anything else and the
background is drawn anew, which is slower but right. No update makes a new figure.
"""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from lib.display.figures import png_of, small_png
from lib.display.letters import drawable, font
from lib.display.style import GRAY, course_style

S = TypeVar("S")
A = TypeVar("A")
DPI = 100  # of the live picture; more costs time at each update
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
JOINED = 'style="stroke-linejoin:round;stroke-linecap:butt"'


class Frames(Generic[S, A]):
    """A matplotlib figure of `size` inches, 100 CSS pixels to the inch.

    The layout is settled once, for the first state: leave room for the widest label. `draw` must
    set everything that depends on the state, so that a frame does not depend on earlier ones.
    """

    def __init__(
        self,
        build: Callable[[Figure], A],
        draw: Callable[[A, S], None],
        size: tuple[float | int, float | int] = (7.2, 3.0),
    ) -> None:
        self._build, self._draw, self._size = build, draw, size
        self._figure: Figure | None = None
        self._background: Any = None
        self.width = round(DPI * size[0])

    def content(self, state: S) -> bytes:
        """Return the live frame as PNG bytes."""
        self._prepare(state)
        self._draw(self._artists, state)
        if self._background is None or self._figure.stale:
            self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self._figure.bbox)
        else:
            self._canvas.restore_region(self._background)
        renderer = self._canvas.get_renderer()
        for artist in self._moving:
            artist.draw(renderer)
        pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def png(self, state: S) -> bytes:
        """Return the frame for a static page: finer, with a palette."""
        self._prepare(state)
        self._draw(self._artists, state)
        self._set_animated(False)
        try:
            return png_of(self._figure)
        finally:
            self._set_animated(True)
            self._background = None

    def svg(self, state: S) -> str:
        """Return the frame as SVG text, letters as outlines: the same text for the same state."""
        self._prepare(state)
        self._draw(self._artists, state)
        self._set_animated(False)
        text = io.StringIO()
        try:
            with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "frame"}):
                # savefig would draw twice: first for a layout, which is settled here.
                FigureCanvasSVG(self._figure).print_svg(text, metadata=NO_METADATA)
        finally:
            self._figure.set_canvas(self._canvas)
            self._figure.set_dpi(DPI)
            self._set_animated(True)
            self._background = None
        # matplotlib's style sheet would hold for every SVG of the page; here the root has it.
        svg, style = text.getvalue(), re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.S)
        return style.sub("", svg[svg.index("<svg") :]).replace("<svg", f"<svg {JOINED}", 1)

    def _prepare(self, state: S) -> None:
        if self._figure is not None:
            return
        with matplotlib.rc_context(course_style()):
            figure = Figure(figsize=self._size, dpi=DPI)
            self._canvas = FigureCanvasAgg(figure)
            self._artists = self._build(figure)
            self._draw(self._artists, state)
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
        self._moving = sorted(_artists_in(self._artists), key=lambda artist: artist.get_zorder())
        if not self._moving:
            raise ValueError(
                "build(figure) must return the artists that draw(artists, state) moves"
            )
        self._figure = figure
        self._set_animated(True)

    def _set_animated(self, animated: bool) -> None:
        for artist in self._moving:
            artist.set_animated(animated)


def _artists_in(thing: Any) -> Iterator[Artist]:
    """Yield the artists in nested lists, tuples, mappings and namespaces."""
    if isinstance(thing, Artist):
        yield thing
    elif isinstance(thing, dict):
        for item in thing.values():
            yield from _artists_in(item)
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from _artists_in(item)
    elif isinstance(thing, np.ndarray) and thing.dtype == object:
        yield from _artists_in(thing.ravel().tolist())
    elif hasattr(thing, "__dict__"):
        yield from _artists_in(vars(thing))


def with_lines(png: bytes, width: int, above: str, below: str) -> bytes:
    """Return a picture of `width` CSS pixels between two lines of small gray text, wrapped."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    scale = picture.width / width
    small, step = font(round(11 * scale)), round(16 * scale)
    texts = [_wrapped(line, small, picture.width - 16 * scale) for line in (above, below)]
    heights = [step * len(rows) + step // 2 for rows in texts]
    page = Image.new("RGB", (picture.width, picture.height + sum(heights)), "white")
    page.paste(picture, (0, heights[0]))
    pen = ImageDraw.Draw(page)
    for rows, top in zip(texts, (0, heights[0] + picture.height), strict=True):
        for i, row in enumerate(rows):
            pen.text((8 * scale, top + step * i + step // 4), row, fill=GRAY, font=small)
    return small_png(np.asarray(page))


def _wrapped(line: str, letters: Any, room: float | int) -> list[str]:
    rows = [""]
    for word in re.split(r"(?<=   )", drawable(line)):  # between items, not inside them
        if rows[-1] and letters.getlength(rows[-1] + word.rstrip()) > room:
            rows.append("")
        rows[-1] += word
    return rows
