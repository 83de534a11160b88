"""Letters: what of a text can be seen and drawn, and how wide it is in the pictures' fonts."""

import functools
from typing import Any


def visible(text: str) -> str:
    """Make blanks and control characters of a token visible: space ␣, newline ↵, tab ⇥."""
    table = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
    return "".join(
        table.get(
            c, c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) > 255 else f"\\x{ord(c):02x}"
        )
        for c in text
    )


def drawable(text: str, font: str = "DejaVuSans") -> str:
    """Put ▯ for each character that `font` lacks (Chinese, most emoji): matplotlib would warn.

    Browsers have the glyphs: SVG and tables need no such thing.
    """
    glyphs = _glyphs(font)
    return "".join(c if ord(c) in glyphs else "▯" for c in text)


@functools.cache
def _glyphs(font: str) -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(f"{get_data_path()}/fonts/ttf/{font}.ttf").get_charmap())


@functools.lru_cache(maxsize=4096)
def text_width(
    text: str, size: float | int = 13, *, bold: bool = False, mono: bool = False
) -> float:
    """Return the width in CSS pixels of one line of text in DejaVu Sans, without kerning.

    Kerning, which browsers and matplotlib do, makes lines of proportional text up to 6% narrower.
    """
    text = drawable(text, font_name(bold, mono))
    return float(font(1000, bold=bold, mono=mono).getlength(text)) * size / 1000


@functools.lru_cache(maxsize=16)
def font(size: int, *, bold: bool = False, mono: bool = False) -> Any:
    """Return matplotlib's own DejaVu Sans as a Pillow font."""
    import matplotlib
    from PIL import ImageFont

    file = f"{matplotlib.get_data_path()}/fonts/ttf/{font_name(bold, mono)}.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def font_name(bold: bool, mono: bool) -> str:
    """The name of the file of a font of the DejaVu family."""
    return f"DejaVuSans{'Mono' if mono else ''}{'-Bold' if bold else ''}"
