"""Figures for readers: each with alt text, small, and the same bytes for the same figure.

`display_figure(fig, alt=...)` is THE way to show a figure in a chapter. The output is
``{"image/png": ..., "text/plain": alt}`` with the metadata ``{"image/png": {"alt": alt}}``:
Jupyter's convention (jupyter/enhancement-proposals#120), which nbconvert's classic template turns
into ``<img alt=...>``. A test holds every image of every notebook to this.
`save_figure(fig, path, alt=..., data=...)` commits a figure and the data behind it.
"""

import base64
import io
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.display.tables import publish
from lib.files import write_file

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.figure import Figure


def png_of(fig: "Figure", dpi: int = 144) -> bytes:
    """Draw a figure into a small PNG: 256 colors chosen for it, no metadata, no time stamp.

    The palette moves no channel by more than about 10 of 255 and cuts the file to a third.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown_dpi, canvas = fig.dpi, FigureCanvasAgg(fig)
    fig.set_dpi(dpi)
    try:
        canvas.draw()
        return small_png(canvas.buffer_rgba())
    finally:
        fig.set_dpi(shown_dpi)


def small_png(pixels: Any) -> bytes:
    """Encode an RGBA (or RGB) array of bytes, on white, with a palette of 256 colors."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    image = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def png_bundle(png: bytes, alt: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (data, metadata) of an image output that is `width` CSS pixels wide and has alt text.

    Raises ValueError if the alt text is empty: an image nobody can read aloud is not published.
    """
    if not alt.strip():
        raise ValueError("alt text must say what the figure shows, got an empty string")
    data = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
    return data, {"image/png": {"alt": alt, "width": width}}


def display_figure(fig: "Figure", *, alt: str, dpi: int = 144) -> None:
    """Show a matplotlib figure with alt text as the cell's output, then close it."""
    data, metadata = png_bundle(png_of(fig, dpi), alt, round(fig.get_figwidth() * 100))
    publish(data, metadata)
    _close(fig)


def save_figure(fig: Any, path: str | Path, *, alt: str, data: Any) -> None:
    """Write a figure or Drawing (`.png`, `.svg`) and, beside it, `.json` with alt text and data.

    `data` holds numbers, strings, lists, mappings, arrays and tensors; numbers are kept to six
    significant digits. The same figure gives the same bytes. Closes the figure. Raises ValueError
    for another suffix, TypeError for other data, before anything is written.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"a figure is saved as .png or .svg, got {path.name!r}")
    if not alt.strip():
        raise ValueError(f"alt text of {path.name} must say what the figure shows")
    text = json.dumps({"alt": alt, "data": _jsonable(data)}, indent=1, ensure_ascii=False) + "\n"
    if hasattr(fig, "shapes"):
        image = fig.png() if path.suffix == ".png" else fig.svg(alt).encode()
    elif path.suffix == ".png":
        image = png_of(fig)
    else:
        import matplotlib

        file = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "lib"}):  # fixed ids
            fig.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        image = file.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, image)
    write_file(path.with_suffix(".json"), text)
    if not hasattr(fig, "shapes"):
        _close(fig)


def _close(fig: "Figure") -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(fig)


def _jsonable(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays, tensors and their scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"data of a figure must be numbers, strings, lists or mappings, got {value!r}")
