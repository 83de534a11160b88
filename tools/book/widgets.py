"""The widgets that can be moved in the book, and the settings at which they are computed.

A page without a kernel can only show what was computed before, so each widget has a grid: a few of
its controls, each at a few values, in every combination. The rest stays at the widget's start.
"""

import ast
import contextlib
import functools
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import matplotlib
import nbformat

from lib.diagrams.gallery import GALLERY
from lib.experiments import cold_start
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer
from lib.widgets import beam_tree, compute, tokens, tour
from lib.widgets.architecture import NONE, PUBLISHED
from lib.widgets.explorer import Explorer
from tools.book.frames import Axes
from tools.notebooks import notebook_path


@dataclass(frozen=True)
class BookWidget:
    """`call` is what the chapter's cell calls to show it; `make` returns the same widget."""

    name: str
    title: str
    chapter: str
    call: str
    make: Callable[[], Explorer]
    axes: Axes
    of_chapter: bool = False  # made of what the chapter's cells before it make: slow

    def belongs_to(self, chapter: str, source: str) -> bool:
        """True for the cell that shows this widget."""
        return chapter == self.chapter and bool(
            re.search(rf"^(?:\w+ = )?{self.call}\(", source, re.MULTILINE)
        )


def _of_model(module: str, function: str) -> Callable[[], Explorer]:
    """A widget that is made of the course's model."""

    def make() -> Explorer:
        explorer = getattr(import_module(f"lib.widgets.{module}"), function)
        return explorer(*course_model())

    return make


@functools.cache
def course_model() -> tuple[LanguageModel, BPETokenizer]:
    """SmolLM2 and its tokenizer, read once for all widgets."""
    return load_pretrained("smollm2-135m-instruct")


def _alone(module: str, function: str) -> Callable[[], Explorer]:
    """A widget that needs nothing."""
    return lambda: getattr(import_module(f"lib.widgets.{module}"), function)()


def _cold_start() -> Explorer:
    from lib.widgets.cold_start import cold_start_explorer

    return cold_start_explorer(cold_start.samples(), cold_start.curves())


def _of_chapter(chapter: str, call: str) -> Callable[[], Explorer]:
    """A widget of what a chapter has made: its cells run, up to the one that calls `call`."""

    def make() -> Explorer:
        matplotlib.use("agg")
        scope: dict[str, Any] = {"__name__": "__main__"}
        notebook = nbformat.read(notebook_path(chapter), as_version=4)
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            hidden = io.StringIO()  # also what progress bars say
            with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
                found = re.search(rf"^(\w+ = )?{call}\(", cell.source, re.MULTILINE)
                source = cell.source[: found.start()] if found else cell.source
                exec(compile(source, chapter, "exec"), scope)
                if found:
                    rest = cell.source[found.end() - len(call) - 1 :]
                    node = ast.parse(rest).body[0]
                    return eval(ast.get_source_segment(rest, node.value), scope)
        raise ValueError(f"{chapter} has no cell that calls {call}")

    return make


_ORDERS = (
    ("temperature", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p"),
    ("top_n_sigma", "top_k", "top_p", "min_p", "typical_p", "temperature"),
)

WIDGETS = [
    BookWidget(
        "tour",
        "the layers of a tour",
        "00_tour",
        "tour_explorer",
        _of_model("tour", "tour_explorer"),
        {"prompt": tour.PROMPTS, "layers": range(31), "head": range(9)},
    ),
    BookWidget(
        "tokens",
        "tokens",
        "01_tokenization",
        "token_explorer",
        _of_chapter("01_tokenization", "token_explorer"),
        {
            "text": tokens.EXAMPLES,
            "tokenizer": (
                "BPE, 4,096 tokens",
                "SmolLM2, 49,152 tokens",
                "WordPiece, 4,096 tokens",
                "Unigram, 4,096 tokens",
            ),
            "progress": range(0, 101, 5),
        },
        of_chapter=True,
    ),
    BookWidget(
        "qkv",
        "query, key and value",
        "02_attention",
        "qkv_explorer",
        _of_model("qkv", "qkv_explorer"),
        {
            "step": range(1, 7),
            "scale": (0.0, 1.0, 4.0),
            "causal": (True, False),
            "window": (0, 3),
            "query": (4, 8),
            "head": range(9),
        },
    ),
    BookWidget(
        "normalization",
        "normalization",
        "04_normalization",
        "normalization_explorer",
        _alone("normalization", "normalization_explorer"),
        {
            "shift": (-5.0, 0.0, 1.5, 5.0),
            "scale": (0.1, 1.0, 5.0),
            "outlier": (-40.0, -20.0, -5.0, 0.0, 5.0, 20.0, 40.0),
            "alpha": (0.1, 0.5, 2.0),
            "batch": ("still", "moved"),
        },
    ),
    BookWidget(
        "routing",
        "routing to experts",
        "05_feedforward",
        "routing_explorer",
        _of_chapter("05_feedforward", "routing_explorer"),
        {
            "temperature": (0.2, 0.5, 1.0, 2.0, 4.0),
            "k": (1, 2, 3, 4, 8),
            "steps": (0, 20, 50, 100, 200),
            "capacity_factor": (0.5, 1.0, 1.25, 2.0, 4.0),
            "gate": ("softmax", "sigmoid"),
        },
        of_chapter=True,
    ),
    BookWidget(
        "model_shape",
        "the shape of a model",
        "06_transformer",
        "model_shape_explorer",
        _alone("model_shape", "model_shape_explorer"),
        {
            "layers": (6, 12, 30, 48, 96),
            "width": (256, 768, 2048, 4096),
            "feed_forward": (1536.0, 3072.0, 14336.0),
            "vocabulary": (4096.0, 50257.0, 128_256.0),
            "kv_heads": (12, 4, 1),
            "gated": (False, True),
            "tied": (True, False),
        },
    ),
    BookWidget(
        "architecture",
        "an architecture",
        "06_transformer",
        "architecture_explorer",
        _alone("architecture", "architecture_explorer"),
        {
            "start": tuple(GALLERY),
            "kv_heads": (PUBLISHED, 1),
            "window": (PUBLISHED, NONE, 1024),
            "experts": (PUBLISHED, NONE, 8),
            "placement": ("published", "pre", "post"),
        },
    ),
    BookWidget(
        "sampling",
        "sampling",
        "09_sampling",
        "sampling_explorer",
        _of_model("sampling", "sampling_explorer"),
        {
            "prompt": ("My favorite food is", "The capital of France is"),
            "temperature": (0.1, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
            "top_p": (0.1, 0.5, 0.7, 0.9, 0.95, 1.0),
            "min_p": (0.0, 0.05, 0.2),
            "top_k": (0, 1, 5, 20, 100),
            "order": _ORDERS,
        },
    ),
    BookWidget(
        "beam_tree",
        "beam search",
        "10_decoding",
        "beam_explorer",
        _of_model("beam_tree", "beam_explorer"),
        {
            "prompt": beam_tree.PROMPTS,
            "step": range(1, 8),
            "num_beams": (2, 3, 4),
            "length_penalty": (0.0, 0.5, 1.0, 2.0),
            "diversity_penalty": (0.0, 0.5, 1.0, 3.0),
        },
    ),
    BookWidget(
        "compute",
        "serving a model",
        "12_compute",
        "compute_explorer",
        _alone("compute", "compute_explorer"),
        {
            "model": tuple(compute.MODELS),
            "batch": (1.0, 16.0, 64.0, 256.0, 1024.0),
            "context": (16.0, 1024.0, 8192.0, 131_072.0),
            "weight_bytes": (2.0, 1.0, 0.5),
            "device": tuple(compute.DEVICES),
        },
    ),
    BookWidget(
        "power_law",
        "power law",
        "13_scaling_laws",
        "power_law_explorer",
        _alone("power_law", "power_law_explorer"),
        {
            "exponent": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
            "floor": (0.0, 1.0, 2.0),
            "common": (20.0, 200.0),
            "at": (1.0, 10.0, 50.0, 100.0, 500.0),
        },
    ),
    BookWidget(
        "compute_optimal",
        "compute-optimal training",
        "13_scaling_laws",
        "compute_optimal_explorer",
        _alone("compute_optimal", "compute_optimal_explorer"),
        {
            "exponent": (17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0),
            "times": (0.1, 0.5, 0.7, 1.0, 1.5, 3.0, 10.0),
        },
    ),
    BookWidget(
        "cold_start",
        "the life-cycle of a reasoning model",
        "14_sft_cold_start",
        "cold_start_explorer",
        _cold_start,
        {
            "problem": tuple(dict.fromkeys(s["problem"] for s in cold_start.samples())),
            "sample": (1, 2, 3, 4),
            "base": (0, 1, 2),
            "run": ("R1-Zero", "RL after the cold start"),
            "step": (0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 59),
        },
    ),
]
