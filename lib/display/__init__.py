"""What a reader sees: source code, tables, claims and figures, in a notebook and in a terminal.

Each function here publishes one output of a notebook cell (outside IPython it prints plain text):

* `show(f, g)`: the source that runs.
* `show_table(rows, columns)`: a pipe table, numbers to the right.
* `claim(sentence, truth)`: a sentence that was checked.
* `display_figure(fig, alt=...)`: a figure with alt text.

`save_figure` commits a figure and the data behind it. One style and one palette serve them all;
`drawing` makes an SVG and a PNG of one description, `frames` the frames of one figure.
"""

from lib.display.claims import (
    ClaimError,
    claim,
    compare_seeds,
    falling,
    mean_and_error,
    rising,
)
from lib.display.drawing import Disk, Drawing, Line, Polygon, Rectangle, Shape, Text, arrow
from lib.display.figures import display_figure, png_bundle, png_of, save_figure, small_png
from lib.display.letters import drawable, text_width, visible
from lib.display.plots import band, label_line, label_lines, plain_numbers, seed_dots, three_axes
from lib.display.source import show
from lib.display.style import (
    DIVERGING,
    GRAY,
    PALE,
    PALETTE,
    SEQUENTIAL,
    course_style,
    ink,
    text_color,
    use_course_style,
)
from lib.display.tables import publish, show_table

__all__ = [
    "DIVERGING",
    "GRAY",
    "PALE",
    "PALETTE",
    "SEQUENTIAL",
    "ClaimError",
    "Disk",
    "Drawing",
    "Line",
    "Polygon",
    "Rectangle",
    "Shape",
    "Text",
    "arrow",
    "band",
    "claim",
    "compare_seeds",
    "course_style",
    "display_figure",
    "drawable",
    "falling",
    "ink",
    "label_line",
    "label_lines",
    "mean_and_error",
    "plain_numbers",
    "png_bundle",
    "png_of",
    "publish",
    "rising",
    "save_figure",
    "seed_dots",
    "show",
    "show_table",
    "small_png",
    "text_color",
    "text_width",
    "three_axes",
    "use_course_style",
    "visible",
]
