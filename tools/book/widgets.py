"""The widgets that can be moved in the book, and the settings at which they are computed.

A page without a kernel can only show what was computed before, so each widget has a grid: a few of
its controls, each at a few values, in every combination. The rest stays at the widget's start.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lib.pretrained import load_pretrained
from lib.widgets.explorer import Explorer
from tools.book.frames import Axes


@dataclass(frozen=True)
class BookWidget:
    """`call` is what the chapter's cell calls to show it; `make` returns the same widget."""

    name: str
    title: str
    chapter: str
    call: str
    make: Callable[[], Explorer]
    axes: Axes

    def belongs_to(self, chapter: str, source: str) -> bool:
        """True for the cell that shows this widget."""
        return chapter == self.chapter and bool(re.search(rf"^{self.call}\(", source, re.MULTILINE))


def _qkv() -> Explorer:
    from lib.widgets.qkv import qkv_explorer

    return qkv_explorer(*load_pretrained("smollm2-135m-instruct"))


def _sampling() -> Explorer:
    from lib.widgets.sampling import sampling_explorer

    return sampling_explorer(*load_pretrained("smollm2-135m-instruct"))


def _power_law() -> Explorer:
    from lib.widgets.power_law import power_law_explorer

    return power_law_explorer()


_ORDERS = (
    ("temperature", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p"),
    ("top_n_sigma", "top_k", "top_p", "min_p", "typical_p", "temperature"),
)

WIDGETS = [
    BookWidget(
        "qkv",
        "query, key and value",
        "02_attention",
        "qkv_explorer",
        _qkv,
        {
            "head": range(9),
            "query": range(9),
            "step": range(1, 7),
            "scale": (0.0, 1.0, 4.0),
            "causal": (True, False),
        },
    ),
    BookWidget(
        "sampling",
        "sampling",
        "09_sampling",
        "sampling_explorer",
        _sampling,
        {
            "prompt": ("My favorite food is", "The capital of France is"),
            "temperature": (0.1, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
            "top_k": (0, 1, 5, 20, 100),
            "top_p": (0.1, 0.5, 0.9, 0.95, 1.0),
            "min_p": (0.0, 0.05, 0.2),
            "order": _ORDERS,
        },
    ),
    BookWidget(
        "power_law",
        "power law",
        "13_scaling_laws",
        "power_law_explorer",
        _power_law,
        {
            "exponent": (0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
            "floor": (0.0, 1.0, 2.0),
            "common": (20.0, 200.0),
            "at": (1.0, 10.0, 50.0, 100.0, 500.0),
        },
    ),
]
