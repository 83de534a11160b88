"""Predict, then reveal: a chapter's opening guesses are fields, shown where they are answered.

`guesses = Guesses(3)` shows three fields. Later cells call `guesses.beside(2)`: what the reader
wrote stands there, and follows its changes. Nothing is stored, nothing leaves the notebook.
"""

import html
from typing import Any

import ipywidgets

from lib.display import Drawing, Rectangle, Text, png_bundle
from lib.widgets.explorer import VIEW

ORDINALS = ("first", "second", "third", "fourth")
WIDTH, ROW = 480, 34  # px


class _WithPicture(ipywidgets.VBox):
    """A box of widgets that a static page shows as lines, each with an empty field."""

    lines: tuple[str, ...] = ()
    hint = "run this cell to write here"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shapes: list[Rectangle | Text] = []
        for i, line in enumerate(self.lines):
            shapes.append(Text(8, ROW * i + 17, line, 13))
            shapes.append(Rectangle(130, ROW * i + 5, 330, 24, "#FFFFFF", "#777777", 1))
            shapes.append(Text(138, ROW * i + 17, self.hint, 12, "#555555"))
        picture = Drawing(WIDTH, ROW * len(self.lines), shapes)
        alt = f"Fields, {', '.join(self.lines)}: {self.hint}."
        data, metadata = png_bundle(picture.png(), alt, WIDTH)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**data, VIEW: view}, metadata


class Guesses(_WithPicture):
    """`count` fields, named "first guess" and so on. Raises ValueError unless it is 1 to 4."""

    def __init__(self, count: int) -> None:
        if not 1 <= count <= len(ORDINALS):
            raise ValueError(f"count must be in 1 to {len(ORDINALS)}, got {count}")
        self.lines = tuple(f"{word} guess" for word in ORDINALS[:count])
        fields = [
            ipywidgets.Text(description=line, placeholder="your guess", layout={"width": "80%"})
            for line in self.lines
        ]
        super().__init__(fields)

    def beside(self, number: int) -> _WithPicture:
        """What was written in a field, counted from 1, to stand beside what a cell measured.

        Raises ValueError for a field that is not there.
        """
        if not 1 <= number <= len(self.children):
            raise ValueError(f"number must be in 1 to {len(self.children)}, got {number}")
        field, said = self.children[number - 1], ipywidgets.HTML()

        def write(_: Any = None) -> None:
            words = html.escape(field.value.strip())
            shown = f"You guessed: {words}" if words else "You wrote no guess above."
            said.value = f'<div role="status" style="line-height:1.4">{shown}</div>'

        field.observe(write, "value")
        write()
        box = _WithPicture([said])
        box.lines = (self.lines[number - 1],)
        box.hint = "what you wrote stands here, once it has run"
        return box
