"""The life-cycle: one problem's chain at every stage, side by side; and the curves of RL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lib.display import GRAY, PALE, PALETTE, Disk, Drawing, Line, Rectangle, Shape, Text, text_width
from lib.experiments.cold_start_results import STAGES
from lib.experiments.tables import Row
from lib.reasoning.task import Problem
from lib.reasoning.verifier import Step, Verdict, verify
from lib.settings import shortened
from lib.widgets.choices import Dropdown
from lib.widgets.controls import IntSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.touch import Handle, Spot

WIDTH, COLUMN, TOP, ROW = 720, 142, 62, 19  # CSS pixels
MOST_STEPS = 10
CHART_HEIGHT, CHART_LEFT, CHART_WIDTH = 130, 44, 470
MARKS = {"right": ("✓", "#CFE8F7"), "wrong": ("✗", "#F6C9A8"), "unparsable": ("?", "#E4E4E4")}
SHORT = {
    "base": "base",
    "zero": "R1-Zero",
    "cold": "cold start",
    "cold_rl": "cold start + RL",
    "final": "final SFT",
}
RUNS = {"R1-Zero": "zero", "RL after the cold start": "cold_rl"}
CURVES = {
    "answer": ("right answer", PALETTE["blue"], False),
    "clean": ("clean format", PALETTE["green"], True),
    "mixed": ("mixed languages", PALETTE["red"], False),
}
INKS = {"answer": PALETTE["blue"], "clean": "#00664A", "mixed": "#A03000"}  # of letters: darker


@dataclass(frozen=True)
class State:
    """Which problem and sample are shown, of which base model; which RL run, up to which step."""

    problem: str
    sample: int = 1
    base: int = 0
    run: str = "R1-Zero"
    step: int = 59


def problem_of(prompt: str) -> Problem:
    """The problem of a prompt such as `5 +8 *3 ?`."""
    start, *operations, _ = prompt.split()
    return Problem(int(start), tuple(operations))


def cold_start_explorer(samples: Sequence[dict], curves: Sequence[Row]) -> Explorer:
    """The widget, from the committed texts and curves. Raises ValueError without them."""
    _check("samples", samples, ("seed", "stage", "problem", "response"))
    _check("curves", curves, ("seed", "stage", "step", "length", *CURVES))
    texts: dict[tuple, list[str]] = {}
    for s in samples:
        texts.setdefault((s["seed"], s["stage"], s["problem"]), []).append(s["response"])
    problems = list(dict.fromkeys(s["problem"] for s in samples))
    seeds = sorted({s["seed"] for s in samples})
    n_samples = min(map(len, texts.values()))
    run: dict[tuple, dict[int, Row]] = {}
    for row in curves:
        run.setdefault((row["seed"], row["stage"]), {})[row["step"]] = row
    last = min(max(steps) for steps in run.values())
    lowest = dict.fromkeys(problems, 0.0)  # where the longest column of each ends
    for (_, stage, problem), responses in texts.items():
        for words in map(str.split, responses):
            shapes = column(0, stage, words, verify(problem_of(problem), words))
            lowest[problem] = max(lowest[problem], shapes[-1].y)

    def verdicts(state: State) -> dict[str, tuple[list[str], Verdict]]:
        problem, found = problem_of(state.problem), {}
        for stage in STAGES:
            words = texts[state.base, stage, state.problem][state.sample - 1].split()
            found[stage] = (words, verify(problem, words))
        return found

    def draw(state: State) -> Drawing:
        shapes: list[Shape] = [
            Text(8, 16, f"{state.problem}  →  {problem_of(state.problem).answer}", 15, bold=True)
        ]
        for i, (stage, (words, verdict)) in enumerate(verdicts(state).items()):
            shapes += column(4 + i * COLUMN, SHORT[stage], words, verdict)
        top = lowest[state.problem] + 52
        shapes += chart(run[state.base, RUNS[state.run]], state.step, state.run, top)
        for i, stage in enumerate(STAGES):
            name = next((name for name, its in RUNS.items() if its == stage), "")
            if name:
                box = (4 + i * COLUMN, 34, COLUMN - 6, 20)
                shapes.append(Spot(*box, f"curves of {name}", {"run": name}, name == state.run))
        return Drawing(WIDTH, round(top + CHART_HEIGHT + 34), shapes)

    def describe(state: State) -> str:
        said = [
            f"{SHORT[stage]}: {'right' if v.answer else 'wrong'} answer, "
            f"{sum(s.mark == 'right' for s in v.steps)} right of {len(v.steps)} pieces"
            for stage, (_, v) in verdicts(state).items()
        ]
        row = run[state.base, RUNS[state.run]][state.step]
        return (
            f"{'; '.join(said)}. {state.run} at step {state.step}: right answers "
            f"{row['answer']:.0%}, clean format {row['clean']:.0%}, mixed languages "
            f"{row['mixed']:.0%}, {row['length']:.1f} words."
        )

    return Explorer(
        State(problems[0], base=seeds[0], step=last),
        [
            Dropdown("problem", "problem", "Held out: in no training data.", problems),
            IntSlider("sample", "sample", "Which of the recorded responses.", 1, n_samples),
            Dropdown("base", "base model", "Its seed.", seeds),
            Dropdown("run", "RL run", "Whose curves are shown.", list(RUNS)),
            IntSlider("step", "RL step", "How far it has come.", 0, last, play_ms=150),
        ],
        DrawingPicture(draw, WIDTH),
        describe,
    )


def _check(name: str, rows: Any, keys: Sequence[str]) -> None:
    """Raise ValueError unless there are rows with these keys."""
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError(
            f"the widget needs recorded samples and curves, got {name}={shortened(rows)}"
        )
    for row in rows:
        if not isinstance(row, Mapping) or not set(keys) <= set(row):
            raise ValueError(f"a row of {name} must have {', '.join(keys)}, got {shortened(row)}")


def column(x: float | int, title: str, words: list[str], verdict: Verdict) -> list[Shape]:
    """One response from top to bottom: pieces of the chain, then the answer."""
    shapes: list[Shape] = [Text(x, 44, title, 13, bold=True)]
    steps = list(verdict.steps)
    more = len(steps) - MOST_STEPS
    if more > 0:
        steps = steps[:MOST_STEPS]
    for i, step in enumerate(steps):
        shapes += _piece(x, TOP + ROW * i, step)
    y = TOP + ROW * len(steps)
    if more > 0:
        shapes.append(Text(x, y + 8, f"and {more} more", 10, GRAY))
        y += ROW
    if not verdict.steps:
        shapes.append(Text(x, y + 8, "no step", 11, GRAY))
        y += ROW
    said = " ".join(words[-3:] if words[-1:] == ["<eos>"] else words[-2:])
    mark = MARKS["right" if verdict.answer else "wrong"][0]
    shapes.append(Text(x, y + 10, _fit(f"{mark} {said}"), 11, "#222222", bold=True, mono=True))
    notes = ["clean format" if verdict.clean else "not clean"]
    notes += ["languages mixed"] if verdict.mixed else []
    notes += ["right by luck"] if verdict.answer and not verdict.chain else []
    return [*shapes, *(Text(x, y + 28 + 14 * i, note, 10, GRAY) for i, note in enumerate(notes))]


def _piece(x: float | int, y: float | int, step: Step) -> list[Shape]:
    mark, color = MARKS[step.mark]
    text = " ".join(step.words)
    box = Rectangle(x, y, COLUMN - 6, ROW - 2, color, tip=f"{step.mark}: {text}")
    return [box, Text(x + 4, y + 8.5, _fit(f"{mark} {text}"), 11, mono=True)]


def _fit(text: str) -> str:
    while text_width(text, 11, mono=True) > COLUMN - 12:
        text = text[:-2].rstrip("… ") + "…"
    return text


def chart(rows: dict[int, Row], step: int, run: str, top: float | int) -> list[Shape]:
    """Shares over the steps of RL up to `step`, and beside them the mean length."""
    last, bottom = max(rows), top + CHART_HEIGHT
    shapes: list[Shape] = [Text(8, top - 22, f"{run}: the responses of each step", 12, bold=True)]
    for share in (0, 0.5, 1):
        y = bottom - share * CHART_HEIGHT
        shapes.append(Line([(CHART_LEFT, y), (CHART_LEFT + CHART_WIDTH, y)], PALE))
        shapes.append(Text(CHART_LEFT - 6, y, f"{share:.0%}", 10, GRAY, anchor="end"))

    def point(at: int, value: float | int) -> tuple[float, float]:
        return (CHART_LEFT + CHART_WIDTH * at / max(1, last), float(bottom - CHART_HEIGHT * value))

    heights = _apart([point(step, rows[step][name])[1] for name in CURVES], bottom)
    for (name, (title, color, dashed)), y in zip(CURVES.items(), heights, strict=True):
        points = [point(at, rows[at][name]) for at in sorted(rows)]
        shapes.append(Line(points, PALE, 1.5))
        if step:
            shapes.append(Line(points[: step + 1], color, 2.2, dashed))
        shapes.append(Disk(*points[step], 4, color))
        label = f"{title} {rows[step][name]:.0%}"
        shapes.append(Text(CHART_LEFT + CHART_WIDTH + 14, y, label, 12, INKS[name], bold=True))
    shapes.append(Text(CHART_LEFT, bottom + 16, "step 0", 10, GRAY))
    shapes.append(Text(CHART_LEFT + CHART_WIDTH, bottom + 16, f"{last}", 10, GRAY, anchor="end"))
    across = (CHART_LEFT, CHART_LEFT + CHART_WIDTH)
    grip = (point(step, 0.0)[0] - 10, top - 4, 20, CHART_HEIGHT + 8)
    shapes.append(Handle(*grip, "step of RL", "step", step, (0, last), across, step=1))
    words = f"{rows[step]['length']:.1f} words a response"
    return [*shapes, Text(CHART_LEFT + CHART_WIDTH + 14, top - 22, words, 12)]


def _apart(heights: list[float], lowest: float | int, gap: float | int = 16) -> list[float]:
    """Push labels down so that none lies on another, and up again where they would leave."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = list(heights)
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + gap)
    for below, above in pairwise(order[::-1]):
        placed[below] = min(placed[below], lowest)
        placed[above] = min(placed[above], placed[below] - gap)
    return placed
