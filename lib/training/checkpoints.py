"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder `step-00000100` with three files: `model.safetensors`,
`optimizer.safetensors`, and `state.json` (the step, the history, the random number generators, the
settings). It is written under another name and then renamed, so that a folder of that name is
complete, whenever the process was killed. No file can run code when it is read (pickle can).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)

from lib.files import atomic_write
from lib.training.distributed import Processes

PREFIX = "step-"


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
    keep: int = 2,
) -> None:
    """Write `folder/step-…` and remove all but the `keep` newest. All processes must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, optimizer_state = get_state_dict(model, optimizer, options=options)
    generators = processes.gather(random_state(processes.device))
    if processes.first:
        target = folder / f"{PREFIX}{progress.step:08d}"
        state = {
            "step": progress.step,
            "settings": settings,
            "optimizer": optimizer_state["param_groups"],
            "random": generators,
            "history": progress.history,
        }
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, folder=True) as unfinished:
            save_file(_without_twins(weights), unfinished / "model.safetensors")
            save_file(_flat(optimizer_state["state"]), unfinished / "optimizer.safetensors")
            (unfinished / "state.json").write_text(json.dumps(state))
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    processes.wait()


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict,
    processes: Processes,
) -> Progress:
    """Put a checkpoint into a model and an optimizer, set the generators, say where the run is.

    Raises ValueError if it was made with other settings or a file is damaged.
    """
    try:
        state = json.loads((path / "state.json").read_text())
        weights = load_file(path / "model.safetensors")
        tensors = load_file(path / "optimizer.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"checkpoint {path.name} is damaged ({error}); remove it") from error
    _check_settings(path, state["settings"], settings)
    for name, twin in _twins(model).items():
        weights[name] = weights[twin]
    set_state_dict(
        model,
        optimizer,
        model_state_dict=weights,
        optim_state_dict={"state": _nested(tensors), "param_groups": state["optimizer"]},
        options=StateDictOptions(full_state_dict=True),
    )
    if len(state["random"]) == processes.count:
        set_random_state(state["random"][processes.rank], processes.device)
    return Progress(state["step"], state["history"])


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


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


def _without_twins(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor once: a tied head is the embedding under a second name."""
    kept, seen = {}, set()
    for name, tensor in weights.items():
        if tensor.data_ptr() not in seen:
            kept[name] = tensor.contiguous()
        seen.add(tensor.data_ptr())
    return kept


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


def _check_settings(path: Path, saved: dict, now: dict) -> None:
    now = json.loads(json.dumps(now))  # tuples become lists, as they did on the way to the file
    changed = [key for key in sorted({*saved, *now}) if saved.get(key) != now.get(key)]
    if changed:
        names = "; ".join(f"{key} was {saved.get(key)}, is {now.get(key)}" for key in changed)
        raise ValueError(
            f"checkpoint {path.name} belongs to another run: {names}. "
            "Use the same settings or another folder"
        )
