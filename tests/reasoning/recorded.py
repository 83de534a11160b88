"""Small runs by hand, in the form of the committed ones."""

from lib.experiments.cold_start_results import COLUMNS, STAGES
from lib.reasoning.corpus import clean_response
from lib.reasoning.task import Problem

_PROBLEMS = [Problem(5, ("+8", "*3", "+1")), Problem(1, ("*7", "+2"))]
PROBLEMS = [" ".join(problem.prompt) for problem in _PROBLEMS]
SEEDS = (0, 1)


def _response(stage: str, problem: Problem, i: int) -> str:
    if stage == "base":
        return f"answer {(problem.answer + 1) % 10} <eos>"
    words = clean_response(problem)
    if i:
        words[4] = str((int(words[4]) + 1) % 10)
    return " ".join(words)


SAMPLES = [
    {"stage": stage, "seed": seed, "problem": prompt, "response": _response(stage, problem, i)}
    for seed in SEEDS
    for problem, prompt in zip(_PROBLEMS, PROBLEMS, strict=True)
    for stage in STAGES
    for i in range(2)
]
CURVES = [
    {"stage": stage, "seed": seed, "step": step, "answer": 0.2 + 0.1 * step, "chain": 0.1 * step,
     "clean": 0.05 * step * seed, "mixed": 0.5, "length": 20.0 + step}
    for stage in ("zero", "cold_rl")
    for seed in SEEDS
    for step in range(6)
]  # fmt: skip
ROWS = [
    {"part": "lifecycle", "stage": stage, "seed": seed, "run": f"lifecycle {seed}"}
    | dict.fromkeys(COLUMNS, 0.1 * place + 0.02 * seed)
    for seed in (0, 1, 2)
    for place, stage in enumerate(STAGES)
]
