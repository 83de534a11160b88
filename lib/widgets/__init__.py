"""Widgets: pictures a reader moves. Start at `lib.widgets.explorer`."""

from lib.display import Disk, Drawing, Line, Rectangle, Text, text_width
from lib.widgets.choices import Button, Dropdown, Reorder, TextInput, Toggle
from lib.widgets.controls import FloatSlider, IntSlider, LogSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture, FigurePicture

__all__ = [
    "Button",
    "Disk",
    "Drawing",
    "DrawingPicture",
    "Dropdown",
    "Explorer",
    "FigurePicture",
    "FloatSlider",
    "IntSlider",
    "Line",
    "LogSlider",
    "Rectangle",
    "Reorder",
    "Text",
    "TextInput",
    "Toggle",
    "text_width",
]
