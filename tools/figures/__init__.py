"""The committed figures: `python -m tools.figures [NAME ...]`.

Each module of this folder has a function `draw() -> None` that writes figures/NAME.png (or .svg)
and the data behind it with `lib.display.save_figure`.
"""
