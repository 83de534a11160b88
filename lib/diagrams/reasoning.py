"""The pipeline of R1 as `lib.reasoning.lifecycle` runs it, with what flows between its stages.

The stages are not listed here: `lifecycle` itself is run with recorders in the place of training,
so that a change of what is trained from what, or on how much, changes the picture.
"""

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from lib.diagrams.diagram import TINTS, WIDTH, Diagram, Shape, arrow, box, note
from lib.model import LanguageModel, ModelConfig
from lib.model.shape_tracing import meta_model
from lib.reasoning import lifecycle as course
from lib.reasoning.rejection import Kept
from lib.reasoning.rewards import ACCURACY


def _no_model() -> LanguageModel:
    """Something to hand from stage to stage: a model without numbers."""
    sizes = dict(vocab_size=2, context_length=2, d_model=2, n_layers=1, n_heads=1, d_ff=2)
    return meta_model(ModelConfig(**sizes))


# What stands in for the result of each function that `lifecycle` calls.
RESULTS: dict[str, Callable[[], Any]] = {
    "reinforce": _no_model,
    "cold_start": _no_model,
    "write_data": lambda: Kept(0, 0, 0, []),
    "kept_examples": list,
    "final_sft": _no_model,
}


@dataclass(frozen=True)
class Made:
    """Something that a stage gave: by which function, from what, with which settings."""

    name: str
    by: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]


def record_lifecycle() -> list[Made]:
    """Each stage of `lifecycle`, in order, with what it was given: models and data by name."""
    made: list[Made] = []
    things: list[Any] = []  # what each of `made` stands for; kept, so that no id comes twice

    def keep(thing: Any, by: str, inputs: tuple[str, ...], settings: dict[str, Any]) -> Any:
        made.append(Made(f"{by} {len(made)}", by, inputs, settings))
        things.append(thing)
        return thing

    def name_of(thing: Any) -> str | None:
        return next((m.name for m, t in zip(made, things, strict=True) if t is thing), None)

    def recorder(by: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*given: Any, **named: Any) -> Any:
            bound = inspect.signature(function).bind(*given, **named)
            bound.apply_defaults()
            names = {key: name_of(value) for key, value in bound.arguments.items()}
            inputs = tuple(name for name in names.values() if name)
            settings = {key: v for key, v in bound.arguments.items() if not names[key]}
            new = keep(RESULTS[by](), by, inputs, settings)
            return (new, []) if by == "reinforce" else new

        return stand_in

    base = keep(_no_model(), "pretraining", (), {})
    with ExitStack() as stack:
        for name in RESULTS:
            function = getattr(course, name)
            stack.enter_context(patch.object(course, name, recorder(name, function)))
        stages, _ = course.lifecycle(base)
    names = {name_of(thing): stage for stage, thing in stages.items()}
    names |= {thing.name: thing.by for thing in made if thing.name not in names}
    return [Made(names[m.name], m.by, tuple(names[i] for i in m.inputs), m.settings) for m in made]


def r1_pipeline() -> Diagram:
    """The stages of the life-cycle as boxes, what each is made from, and how many examples flow."""
    made = record_lifecycle()
    by_name = {thing.name: thing for thing in made}
    places = {
        "base": (14, 150),
        "zero": (246, 20),
        "cold": (246, 96),
        "cold_rl": (424, 96),
        "write_data": (424, 190),
        "kept_examples": (424, 270),
        "final": (200, 270),
    }
    if set(places) != set(by_name):
        raise ValueError(
            f"the life-cycle has stages {sorted(by_name)}, this picture {list(places)}"
        )
    width, height = 146, 46
    shapes: list[Shape] = []
    for thing in made:
        x, y = places[thing.name]
        data = thing.by in ("write_data", "kept_examples")
        fill = TINTS["attention"] if data else TINTS["embedding"]
        fill = TINTS["head"] if thing.name == "base" else fill
        tip = f"{thing.name} by {thing.by} from {', '.join(thing.inputs) or 'nothing'}"
        shapes += box(x, y, width, height, _title(thing), fill, size=13, bold=True, tip=tip)
        for source in thing.inputs:
            shapes += _flow(places[source], (x, y), width, height)
    for thing in made:
        x, y = places[thing.name]
        where = {
            "zero": (x + width + 8, y + 16),
            "cold_rl": (x, y - 26),
            "write_data": (x - 6, y + height / 2),
        }.get(thing.name, (x, y + height + 12))
        anchor = "end" if thing.name == "write_data" else "start"
        for i, line in enumerate(_label(thing)):
            shapes.append(note(where[0], where[1] + 15 * i, line, 12, anchor))
    flows = "; ".join(
        f"{thing.name} from {' and '.join(thing.inputs)} by {thing.by} ({', '.join(_label(thing))})"
        for thing in made
        if thing.inputs
    )
    return Diagram(WIDTH, 360, shapes, alt=f"The life-cycle of R1 in small: {flows}.")


TITLES = {
    "base": ("base", "model of a corpus"),
    "zero": ("zero", "R1-Zero's branch"),
    "cold": ("cold", "cold start"),
    "cold_rl": ("cold_rl", "after RL"),
    "write_data": ("responses", "rejection sampling"),
    "kept_examples": ("examples", "right and clean"),
    "final": ("final", "the model to use"),
}


def _title(thing: Made) -> tuple[str, ...]:
    return TITLES[thing.name]


def _label(thing: Made) -> list[str]:
    settings = thing.settings
    if thing.by == "reinforce":
        reward = "accuracy" if settings["reward"] is ACCURACY else "accuracy and format"
        return [f"RL, {settings['steps']} steps", f"reward: {reward}"]
    if thing.by == "cold_start":
        return [f"SFT on {settings['n']} examples,", f"{settings['steps']} steps"]
    if thing.by == "write_data":
        problems, draws = course.REJECTION_PROBLEMS, course.REJECTION_DRAWS
        return [f"{problems:,} problems × {draws} draws"]
    if thing.by == "kept_examples":
        return [f"at most {course.EXAMPLES:,}"]
    if thing.by == "final_sft":
        share = course.FACTS_SHARE
        return [f"SFT, {settings['steps']} steps,", f"{share:.0%} lists of facts mixed in"]
    return []


def _flow(start: tuple[int, int], end: tuple[int, int], width: int, height: int) -> list[Shape]:
    """An arrow from one box to another: sideways where they are side by side, else down."""
    (x0, y0), (x1, y1) = start, end
    if x0 == x1:
        return arrow([(x0 + 120, y0 + height), (x1 + 120, y1)])
    if x1 > x0 and x1 - x0 > width:
        turn = x1 - 22
        return arrow([(x0 + width, y0 + 23), (turn, y0 + 23), (turn, y1 + 23), (x1, y1 + 23)])
    if x1 > x0:  # from the base down to the final model
        return arrow([(x0 + 60, y0 + height), (x0 + 60, y1 + 23), (x1, y1 + 23)])
    return arrow([(x0, y0 + 23), (x1 + width, y1 + 23)])
