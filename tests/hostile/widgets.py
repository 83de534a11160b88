"""What no widget takes: each of CASES must raise a clear error, or end in a picture."""

import dataclasses
import functools
import xml.etree.ElementTree as tree

import numpy as np
import torch

from lib.model import LanguageModel, ModelConfig
from lib.tokenization import BPETokenizer, WordPieceTokenizer
from lib.widgets.architecture import architecture_explorer
from lib.widgets.beam_tree import beam_explorer
from lib.widgets.cold_start import cold_start_explorer
from lib.widgets.compute import compute_explorer
from lib.widgets.compute_optimal import compute_optimal_explorer
from lib.widgets.explorer import Explorer
from lib.widgets.model_shape import model_shape_explorer
from lib.widgets.normalization import normalization_explorer
from lib.widgets.power_law import power_law_explorer
from lib.widgets.qkv import qkv_explorer
from lib.widgets.routing import example_logits, routing_explorer
from lib.widgets.sampling import sampling_explorer
from lib.widgets.tokens import show_tokens, token_explorer
from lib.widgets.tour import tour_explorer
from tests.hostile.model import VALUES
from tests.reasoning.recorded import CURVES, SAMPLES

FAMILY = "👩\u200d👩\u200d👧"
TEXTS = ["", " ", "\0\n\t", "\ud800", "a\udfff", "x" * 100_000, FAMILY * 20_000, "<b>&amp;</b>"]
TEXTS += [FAMILY, "e" + "\u0301" * 199, "\u202eא", "\ufeff\ufffe\uffff", "$x$ %s {0} \\", "]]>"]
NUMBERS = [-(10**9), 10**9, 1e308, -1e308, 5e-324, True, "nan", b"1", np.float32("nan"), 10**400]
NUMBERS += [np.int64(3), torch.tensor(1), torch.tensor([]), -0.0, 0.5, ("a", "a"), (-5, 10**9)]
ALL = [*VALUES, *TEXTS, *NUMBERS]
NAMED = [(f"{value!r:.20}", value) for value in ALL]


@functools.cache
def language() -> tuple[LanguageModel, BPETokenizer]:
    torch.manual_seed(0)
    sizes = dict(d_model=24, n_layers=3, n_heads=3, d_ff=40)
    model = LanguageModel(ModelConfig(vocab_size=264, context_length=512, **sizes))
    return model.eval(), BPETokenizer.train("the cat sat on the mat " * 9, 264)


def tokens() -> Explorer:
    words = WordPieceTokenizer.train("the cat sat on the mat " * 9, 40)
    return token_explorer({"BPE": language()[1], "WordPiece": words})


WIDGETS = {
    "architecture": architecture_explorer,
    "beam_tree": lambda: beam_explorer(*language()),
    "cold_start": lambda: cold_start_explorer(SAMPLES, CURVES),
    "compute": compute_explorer,
    "compute_optimal": compute_optimal_explorer,
    "model_shape": model_shape_explorer,
    "normalization": normalization_explorer,
    "power_law": power_law_explorer,
    "qkv": lambda: qkv_explorer(*language()),
    "routing": routing_explorer,
    "sampling": lambda: sampling_explorer(*language()),
    "tokens": tokens,
    "tour": lambda: tour_explorer(*language()),
}


@functools.cache
def widget(name: str) -> Explorer:
    explorer = WIDGETS[name]()
    explorer.raise_errors, explorer.first = True, explorer.picture.current()
    return explorer


def picture(content: str) -> None:
    """A picture is SVG that a browser reads, and none of its places is NaN."""
    root = tree.fromstring(content)
    numbers = [e.get(key, "0") for e in root.iter() for key in ("x", "y", "width", "height")]
    assert not any("nan" in number or "inf" in number for number in numbers), numbers


def back(explorer: Explorer) -> None:
    """Show the first state again, as it was drawn the first time."""
    content = explorer.picture.content
    explorer.picture.content = lambda state: explorer.first
    try:
        explorer.set(explorer.initial)
    finally:
        explorer.picture.content = content


def drawn(name: str, field: str, value: object) -> None:
    """Another value of one field, in a state that is drawn without a control."""
    picture(widget(name).frame(dataclasses.replace(widget(name).initial, **{field: value})))


def moved(name: str, field: str, value: object) -> None:
    """Another value of one field, as code sets it; what was shown comes back afterward."""
    explorer = widget(name)
    try:
        explorer.set(dataclasses.replace(explorer.initial, **{field: value}))
        picture(explorer.picture.current())
    finally:
        back(explorer)


def touched(name: str, field: str, value: object) -> None:
    """Another value of one field, as a browser sends it."""
    explorer = widget(name)
    try:
        explorer._touched({"new": {"changes": {field: value}}})
        picture(explorer.picture.current())
    finally:
        back(explorer)


def fields(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(widget(name).initial)]


CASES = [
    (f"{name}.{act.__name__}({field}={shown})",
     lambda a=act, n=name, f=field, v=value: a(n, f, v))
    for name in WIDGETS
    for field in fields(name)
    for act, values in ((drawn, NAMED[::2]), (moved, NAMED[1::2]), (touched, NAMED[::3]))
    for shown, value in values
]  # fmt: skip
CASES += [
    (f"{name}.{act}({value!r:.20})", lambda n=name, a=act, v=value: getattr(widget(n), a)(v))
    for name in WIDGETS
    for act in ("set", "frame")
    for value in VALUES
    if not (act == "frame" and value is None)
]
CASES += [
    (f"{name}.touched({value!r:.20})", lambda n=name, v=value: widget(n)._touched({"new": v}))
    for name in WIDGETS
    for value in [*VALUES, {"changes": 3}, {"changes": {"no": 1}}, {"changes": {3: 1}}]
]
LOGITS = example_logits()
ROUTED = {
    "NaN": LOGITS * torch.nan,
    "inf": LOGITS / 0,
    "whole": LOGITS.int(),
    "one axis": LOGITS[0],
    "three axes": LOGITS[None],
    "no expert": LOGITS[:, :0],
    "one expert": LOGITS[:, :1],
    "300 experts": torch.randn(20, 300),
    "few": LOGITS[:3],
    "a list": LOGITS.tolist(),
    "complex": LOGITS + 1j,
    "on meta": LOGITS.to("meta"),
}
CASES += [(f"routing(logits: {n})", lambda v=v: routing_explorer(v)) for n, v in ROUTED.items()]
for name, value in NAMED:
    CASES += [
        (f"routing(words={name})", lambda v=value: routing_explorer(None, v)),
        (f"architecture({name})", lambda v=value: architecture_explorer(v)),
        (f"compute({name})", lambda v=value: compute_explorer(v)),
        (f"qkv(model={name})", lambda v=value: qkv_explorer(v, language()[1])),
        (f"qkv(tokenizer={name})", lambda v=value: qkv_explorer(language()[0], v)),
        (f"qkv(state={name})", lambda v=value: qkv_explorer(*language(), v)),
        (f"tour(model={name})", lambda v=value: tour_explorer(v, language()[1])),
        (f"tour(tokenizer={name})", lambda v=value: tour_explorer(language()[0], v)),
        (f"tour(state={name})", lambda v=value: tour_explorer(*language(), v)),
        (f"beam(prompt={name})", lambda v=value: beam_explorer(*language(), v)),
        (f"beam(tokenizer={name})", lambda v=value: beam_explorer(language()[0], v)),
        (f"sampling(prompt={name})", lambda v=value: sampling_explorer(*language(), v)),
        (f"sampling(model={name})", lambda v=value: sampling_explorer(v, language()[1])),
        (f"tokens({name})", lambda v=value: token_explorer(v)),
        (f"tokens(x={name})", lambda v=value: token_explorer({"x": v})),
        (f"tokens(text={name})", lambda v=value: token_explorer({"x": language()[1]}, v)),
        (f"show_tokens({name})", lambda v=value: show_tokens(language()[1], v)),
        (f"show_tokens(tokenizer={name})", lambda v=value: show_tokens(v, "a")),
        (f"cold_start(samples={name})", lambda v=value: cold_start_explorer(v, CURVES)),
        (f"cold_start(curves={name})", lambda v=value: cold_start_explorer(SAMPLES, v)),
    ]  # fmt: skip
