"""What of the exercises is solved: `progress()` shows it, `reset()` forgets it.

`check` notes the title of what was solved in `nlp-to-lms/exercises.json` in the state folder of the
reader (XDG_STATE_HOME, else ~/.local/state). Nothing leaves the machine. To begin anew, delete that
file or call `reset()`.
"""

import importlib
import json
import os
from pathlib import Path

from lib.display import show_table
from lib.files import atomic_write

CHECKS = {  # chapter -> module -> checks, without "check_"; capstones come last
    "1 Tokenization": {
        "tokenization": "merge_once encode_by_rank wordpiece_scores best_segmentation split_threes",
        "capstones_tokenizer": "my_tokenizer",
    },
    "2 Attention": {
        "attention": "scaled_attention causal_weights", "heads": "split_heads merge_heads",
        "capstones_parts": "my_attention",
    },
    "3 Positions and memory": {
        "attention_in_use": "rotate cached_step online_attention",
        "capstones_memory": "my_cached_attention",
    },
    "4 Normalization": {
        "layer_norm": "layer_norm", "normalization": "gemma_norm",
        "norm_placement": "leaks output_norm_block", "folded_mean": "centered largest_score",
        "capstones_parts": "my_norm",
    },
    "5 Feed-forward layers and experts": {
        "feedforward": "swiglu gated_width",
        "routing": "routing_weights biased_weights",
        "balancing": "balancing_loss", "capacity": "kept",
        "capstones_parts": "my_feed_forward",
    },
    "6 The transformer": {
        "transformer": "block_parameters tie residual_scale", "capstones_model": "my_model",
    },
    "7 Training": {
        "transformer": "language_model_loss learning_rate", "capstones_training": "my_loop",
    },
    "8 Inside a trained model": {
        "inside": "ranks previous_token_score mean_ablation", "capstones_inside": "my_attribution",
    },
    "9 Sampling": {
        "sampling": "effective_vocabulary top_p min_p penalize vote",
        "capstones_generation": "my_sampler",
    },
    "10 Decoding": {
        "decoding": "beam_step winner contrastive", "capstones_beams": "my_beam",
    },
    "11 Faster decoding": {
        "drafting": "rejection allowed", "capstones_generation": "my_draft",
    },
    "12 Compute": {
        "compute": "training_flops utilization decode_seconds cache_bytes rounded",
        "capstones_scaling": "my_report",
    },
    "13 Scaling laws": {
        "scaling": "through gain lowest huber optimal", "capstones_scaling": "my_fit",
    },
    "14 SFT cold start": {
        "reasoning": "right_chain advantages clipped learned_targets select",
        "capstones_scaling": "my_reward",
    },
}  # fmt: skip


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "nlp-to-lms" / "exercises.json"


def solved() -> set[str]:
    """Return the titles of the exercises that were solved; none if there is no readable file."""
    try:
        titles = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {title for title in titles if isinstance(title, str)} if type(titles) is list else set()


def note(title: str) -> None:
    """Add a solved exercise; a folder that cannot be written to costs only the note."""
    known = solved()
    if title in known or os.environ.get("NLP_TO_LMS_NO_PROGRESS"):
        return
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_file()) as path:
            path.write_text(json.dumps(sorted(known | {title})), encoding="utf-8")
    except OSError:
        return


def reset() -> None:
    """Forget what was solved."""
    _file().unlink(missing_ok=True)


def rows() -> list[tuple[str, str, int, bool]]:
    """Return (chapter, exercise, minutes, solved) for every exercise, in order."""
    known, found = solved(), []
    for chapter, modules in CHECKS.items():
        for module, names in modules.items():
            room = importlib.import_module(f"lib.exercises.{module}")
            checks = [getattr(room, f"check_{name}") for name in names.split()]
            found += [(chapter, c.title, c.minutes, c.title in known) for c in checks]
    return found


def progress() -> None:
    """Show for each chapter what is solved, what comes next, and the minutes that are left."""
    found, table = rows(), []
    for chapter in CHECKS:
        mine = [row for row in found if row[0] == chapter]
        still = [row for row in mine if not row[3]]
        done = f"{len(mine) - len(still)} of {len(mine)}"
        next_ = still[0][1] if still else "all solved"
        table.append([chapter, done, next_, sum(minutes for _, _, minutes, _ in still)])
    n_done = sum(is_solved for *_, is_solved in found)
    table.append(["all", f"{n_done} of {len(found)}", "", sum(row[3] for row in table)])
    title = "Exercises that you have solved; the last of each chapter is its capstone"
    show_table(table, ["chapter", "solved", "the next one", "minutes left"], title=title)
    print("To begin anew: from lib.exercises.progress import reset; reset()")


if __name__ == "__main__":
    progress()
