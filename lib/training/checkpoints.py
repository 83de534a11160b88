"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder `step-00000100` with three files: `model.safetensors`,
`optimizer.safetensors`, and `state.json` (the step, the history, the random number generators, the
settings). It is written under another name and then renamed, so that a folder of that name is
complete, whenever the process was killed. No file can run code when it is read (pickle can).
`torch.distributed.checkpoint` takes half a second to import, so only who saves or loads does.
"""

import json
import math
import re
import shutil
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib.files import atomic_write
from lib.training.distributed import Processes
from lib.training.optimizer import DivergedError
from lib.training.resuming import ScheduleError, check_settings, plain

NAME = re.compile(r"step-([0-9]{8})")
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW, for each weight
STATE = {"step": int, "settings": dict, "optimizer": list, "random": list, "history": list}


@dataclass
class Progress:
    """Where a run is: `history` holds one row for each step done (and one for step 0)."""

    step: int
    history: list[dict]


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    settings: dict,
    processes: Processes,
    spare: int | None = None,
    keep: int = 2,
) -> None:
    """Write `folder/step-…` and keep of those before it the newest and that of step `spare`.

    Later ones are of a run that went on another way, and go. All processes must call this.

    Raises DivergedError, and writes nothing, for a weight or an optimizer state that is not finite.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, optimizer_state = get_state_dict(model, optimizer, options=options)
    # Of sharded models only the first process is given what is to be written.
    twins = _twins(model)  # a tied head is the embedding under a second name: written once
    weights = {name: w.contiguous() for name, w in weights.items() if name not in twins}
    moments = _flat(optimizer_state.get("state", {}))
    if bad := next(filter(None, processes.gather(_not_finite(weights | moments))), None):
        raise DivergedError(f"{bad} is not finite after step {progress.step}: nothing is written")
    generators = processes.gather(random_state(processes.device))
    if processes.first:
        state = {
            "step": progress.step,
            "settings": settings,
            "optimizer": optimizer_state["param_groups"],
            "random": generators,
            "history": progress.history,
        }
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / f"step-{progress.step:08d}", folder=True) as unfinished:
            save_file(weights, unfinished / "model.safetensors")
            save_file(moments, unfinished / "optimizer.safetensors")
            (unfinished / "state.json").write_text(json.dumps(state))
        old = {int(NAME.fullmatch(path.name)[1]): path for path in checkpoints(folder)}
        done = sorted(step for step in old if step <= progress.step)
        for step in old.keys() - {*done[-keep:], spare}:
            if not old[step].is_symlink():  # what somebody put elsewhere is theirs
                shutil.rmtree(old[step])
    processes.wait()


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict,
    processes: Processes,
) -> Progress:
    """Put a checkpoint into a model and an optimizer, set the generators, say where the run is.

    Raises ValueError, and changes nothing, if a file is damaged or lacks a part, or if the steps
    that were done would have been others with these `settings`.
    """
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_model_state_dict,
        set_state_dict,
    )

    try:
        state = _read_state(path)
        weights = load_file(path / "model.safetensors")
        moments = load_file(path / "optimizer.safetensors")
        check_settings(path, state["step"], state["settings"], settings)
        _check_groups(state["optimizer"], model, optimizer)
        twins, expected = _twins(model), get_model_state_dict(model)
        _compare(weights, {name: w for name, w in expected.items() if name not in twins})
        learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
        learned = {name.removeprefix("module.") for name in learned}
        _compare(moments, {f"{n}/{part}": expected[n] for n in learned for part in MOMENTS})
        _check_moments(moments, state["step"])
    except (OSError, KeyError, TypeError, SafetensorError, _DamageError) as error:
        raise ValueError(f"checkpoint {path.name} is damaged ({error}); remove it") from error
    set_state_dict(
        model,
        optimizer,
        model_state_dict=weights | {name: weights[twin] for name, twin in twins.items()},
        optim_state_dict={"state": _nested(moments), "param_groups": state["optimizer"]},
        options=StateDictOptions(full_state_dict=True),
    )
    if len(state["random"]) == processes.count:
        set_random_state(state["random"][processes.rank], processes.device)
    return Progress(state["step"], state["history"])


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first; folders of other names are not ours."""
    found = (path for path in folder.glob("step-*") if NAME.fullmatch(path.name))
    return sorted(path for path in found if path.is_dir())


def newest_checkpoint(folder: Path, settings: dict) -> Path | None:
    """The newest checkpoint from which a run with these settings can go on; None if there is none.

    An older one is taken where the learning rate of the steps since would have been another.
    Raises ValueError as `load_checkpoint` does if no checkpoint will do.
    """
    found, refused = checkpoints(folder), []
    for path in reversed(found):
        try:
            state = _read_state(path)
            check_settings(path, state["step"], state["settings"], settings)
            return path
        except ScheduleError as error:
            refused.append(error)
        except (OSError, KeyError, TypeError, _DamageError):
            return path  # loading it says what is wrong
    if refused:
        raise refused[0]
    return None


def random_state(device: torch.device) -> dict:
    """The state of torch's generators, as numbers: dropout draws from them.

    The batches need none: `Batches` computes them from the step.
    """
    state = {"cpu": torch.get_rng_state().tolist()}
    if device.type in ("cuda", "mps"):
        state[device.type] = getattr(torch, device.type).get_rng_state().tolist()
    return state


def set_random_state(state: dict, device: torch.device) -> None:
    """Bring back what `random_state` returned, also after a way through JSON."""
    torch.set_rng_state(torch.tensor(state["cpu"], dtype=torch.uint8))
    if device.type != "cpu" and device.type in state:
        saved = torch.tensor(state[device.type], dtype=torch.uint8)
        getattr(torch, device.type).set_rng_state(saved)


class _DamageError(Exception):
    pass


def _read_state(path: Path) -> dict:
    try:
        state = json.loads((path / "state.json").read_text())
    except (ValueError, RecursionError) as error:
        raise _DamageError(f"state.json: {error}") from error
    for key, kind in STATE.items():
        if not isinstance(state, dict) or not isinstance(state.get(key), kind):
            raise _DamageError(f"state.json needs {key!r}, a JSON {kind.__name__}")
    for generators in state["random"]:
        numbers = generators["cpu"]
        if len(numbers) != len(torch.get_rng_state()) or {*numbers} - {*range(256)}:
            raise _DamageError("state.json has no generator's state under 'random'")
    if not all(isinstance(row, dict) for row in state["history"]):
        raise _DamageError("state.json has no rows under 'history'")
    if state["step"] != int(NAME.fullmatch(path.name)[1]):
        raise _DamageError(f"state.json says step {state['step']}")
    return state


def _check_groups(saved: list, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The same weights in the same groups with the same settings, but for the learning rate."""
    names = {id(weight): name.removeprefix("module.") for name, weight in model.named_parameters()}
    groups = [
        {**group, "params": [names[id(weight)] for weight in group["params"]]}
        for group in optimizer.param_groups
    ]
    for a, b in zip_longest(saved, groups, fillvalue={}):
        if other := sorted(
            key for key in {*a, *b} - {"lr"} if plain(a.get(key)) != plain(b.get(key))
        ):
            raise _DamageError(f"state.json has another {other[0]} under 'optimizer'")


def _compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise _DamageError unless the tensors have these names, shapes and types and are finite."""
    for name in sorted({*found, *expected}):
        if name not in found or name not in expected:
            raise _DamageError(f"{name} is {'missing' if name in expected else 'unknown'}")
        shape = () if name.endswith("/step") else tuple(expected[name].shape)
        if tuple(found[name].shape) != shape or found[name].dtype != expected[name].dtype:
            raise _DamageError(
                f"{name} is {found[name].dtype} of shape {tuple(found[name].shape)}, not "
                f"{expected[name].dtype} of {shape}"
            )
    if bad := _not_finite(found):
        raise _DamageError(f"{bad} has a NaN or an infinite value")


def _check_moments(moments: dict[str, Tensor], done: int) -> None:
    """Raise _DamageError for what AdamW cannot have after `done` steps."""
    for name, tensor in moments.items():
        most = {"step": done, "exp_avg": None}.get(name.rpartition("/")[2], math.inf)
        if most is not None and not ((tensor >= 0) & (tensor <= most)).all():
            raise _DamageError(f"{name} has a value outside 0 .. {most}")


def _not_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first tensor that has a NaN or an infinite value."""
    return next((name for name, t in tensors.items() if not t.isfinite().all()), None)


def _flat(state: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """AdamW's two means and its count for each weight, as `weight/mean`."""
    return {
        f"{weight}/{name}": tensor.contiguous()
        for weight, tensors in state.items()
        for name, tensor in tensors.items()
    }


def _nested(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    state: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        weight, _, name = key.rpartition("/")
        state.setdefault(weight, {})[name] = tensor
    return state


def _twins(model: nn.Module) -> dict[str, str]:
    """Second names of weights, each with the name it is saved under."""
    first: dict[int, str] = {}
    twins = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        name = name.removeprefix("module.")
        if id(weight) in first:
            twins[name] = first[id(weight)]
        first.setdefault(id(weight), name)
    return twins
