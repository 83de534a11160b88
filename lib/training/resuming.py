"""Whether a run may go on with other settings: yes, if the steps done stay what they were."""

from pathlib import Path

from lib.settings import shortened
from lib.training.schedules import SCHEDULES

# What changes when things are measured and written, and what memory is spent: no step by itself.
FREE = {
    *("evaluate_every", "evaluation_sequences", "checkpoint_every"),
    *("checkpoint_activations", "checkpoint_segments", "steps"),  # steps by way of the schedule
}


class ScheduleError(ValueError):
    """The steps done had other learning rates than they would have now."""


def check_settings(path: Path, done: int, saved: dict, now: dict) -> None:
    """Raise ValueError if the `done` steps of a checkpoint would have been others with `now`.

    It is a ScheduleError if only their learning rates would have been others. `now` has the fields
    of TrainingConfig, `model` and `tokens`, and so has `saved`, which comes from JSON. More `steps`
    are fine where the learning rates of the steps done stay the same.
    """
    saved, now = _flat(saved), _flat(now)
    changed = [
        f"{key} was {shortened(saved.get(key), 400)}, is {shortened(now.get(key), 400)}"
        for key in sorted({*saved, *now} - FREE)
        if plain(saved.get(key)) != plain(now.get(key))
    ]
    if changed:
        raise ValueError(
            f"checkpoint {path.name} belongs to another run: {'; '.join(changed)}. "
            "Use the same settings or another folder"
        )
    if now["steps"] < done:
        raise ValueError(f"{path.name} has done {done} steps, more than steps={now['steps']}")
    before, after = (
        SCHEDULES[s["schedule"]](s["learning_rate"], s["steps"], s["warmup"]) for s in (saved, now)
    )
    other = next((step for step in range(done) if before(step) != after(step)), None)
    if other is not None:
        raise ScheduleError(
            f"{path.name} cannot go on with steps={now['steps']}: it was made with "
            f"steps={saved['steps']}, and its schedule {now['schedule']!r} would have given step "
            f"{other + 1} a learning rate of {after(other):.4g}, not {before(other):.4g}. Keep "
            f"steps={saved['steps']}, take a checkpoint of step {other} or before, or train in "
            "another folder, with the schedule 'constant' or 'stable_decay' if it is to go on later"
        )


def _flat(settings: dict) -> dict:
    """With `model.d_model` in place of a dictionary under `model`."""
    model = settings.get("model")
    if not isinstance(model, dict):
        return settings
    return settings | {"model": None} | {f"model.{key}": value for key, value in model.items()}


def plain(value: object) -> object:
    """As JSON has it: tuples are lists."""
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value
