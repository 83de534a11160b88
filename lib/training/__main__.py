"""Train a model of your own from a text file, alone or under torchrun.

    python -m lib.training --data my.txt --out runs/mine
    python -m lib.training --data my.txt --out runs/mine --size medium --minutes 30
    python -m lib.generation runs/mine "Once"

The first trains a tokenizer, chooses the number of steps by a short measurement so that all takes
about five minutes, and leaves a Hugging Face folder with its curve and samples. A run that was
killed goes on with the same command; one that has ended goes on with more --steps or --minutes.
`--depth` is one dial for width, heads, learning rate and batch, each still to be set by hand.

GPT-2 124M on one machine with eight GPUs, half a million tokens to a step as Brown et al. (2020)
used for this size, with GPT-2's own tokenizer:

    torchrun --standalone --nproc-per-node 8 -m lib.training --data text.txt --out runs/gpt2 \\
        --kind gpt2 --depth 12 --width 768 --heads 12 --tokenizer FOLDER --context-length 1024 \\
        --batch-size 512 --accumulate 4 --steps 19000 --warmup 700 --learning-rate 6e-4

`--fsdp` shards the model over the processes.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from lib.commands import CommandParser
from lib.training import shapes
from lib.training.asked import MINUTES, check_options
from lib.training.config import TrainingConfig
from lib.training.distributed import start_processes, stop_processes
from lib.training.own import EVALUATIONS, train_own
from lib.training.record import read_run

# Where the command differs from TrainingConfig: None is settled by the model, the text, the time.
DEFAULTS = dict(
    steps=None,
    batch_size=None,
    context_length=256,
    learning_rate=None,
    schedule="stable_decay",
    warmup=None,
    precision=None,
    evaluate_every=None,
    evaluation_sequences=64,
    checkpoint_every=None,
)
FOR_EXPERTS = ("balance_loss", "z_loss", "bias_rate")  # no --kind has experts
KINDS = dict(steps=int, batch_size=int, learning_rate=float, warmup=int, precision=str)
KINDS |= dict(evaluate_every=int, checkpoint_every=int, checkpoint_segments=int)
HELP = dict(
    steps="train for so many steps",
    batch_size="sequences of a step, over all processes (default: 16)",
    learning_rate="its peak (default: by the rule of lib.training.shapes)",
    warmup="steps (default: 100, or a tenth of a short run)",
    precision="float32, the default on a CPU, or bfloat16, the default elsewhere",
    evaluate_every=f"steps (default: {EVALUATIONS} times in all)",
    checkpoint_every=f"steps (default: {EVALUATIONS} times in all)",
)


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; the exit status is 2 for arguments that do not fit."""
    processes = None
    try:
        options = read_options(arguments)
        processes = start_processes(options.device)
        train_own(options, processes)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError:
        print("error: the GPU's memory is full: give --accumulate 2 or more", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    finally:
        if processes is not None:
            stop_processes(processes)
    return 0


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options given; what is left out comes from the run in --out, if there is one."""
    parser = _parser()
    out = parser.parse_args(arguments).out
    run = read_run(Path(out)) if out else None
    if run:
        parser.set_defaults(**run["options"])
    options = parser.parse_args(arguments)
    options.betas = tuple(options.betas)
    check_options(options, run)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m lib.training", __doc__)
    add = parser.add_argument
    add(
        "--data",
        help="your text, or .npy of tokens (default: Python's documentation); a "
        "text's tokens are kept beside it, in NAME.XXXXXXXX.npy",
    )
    add("--out", help="the folder of the run: model, curve, samples, checkpoints")
    add("--tokenizer", help="bytes, bpe:SIZE, or a folder with one (default: bpe:2048)")
    add("--document-end", help='a token that --data has between documents: "<|endoftext|>"')
    add("--vocab-size", type=int, help="of --data tokens.npy")
    add("--kind", choices=shapes.KINDS, default="llama")
    add("--size", choices=shapes.SIZES, help="a depth by name (default: tiny)")
    add("--depth", "--layers", type=int, help="layers, and by them all other sizes")
    add("--width", type=int, help="features (default: 32 for each layer)")
    add("--heads", type=int, help="of attention (default: 32 features each)")
    add("--feedforward", type=int, help="its width (default: 4 times the width; 8/3 with a gate)")
    add("--dropout", type=float, default=0.0)
    add(
        "--minutes",
        type=float,
        help=f"train for about so long, or so much longer (default: {MINUTES:g})",
    )
    add("--prompt", help="what samples begin with (default: a piece of the held-out text)")
    add("--history", help="write the history to this JSON file")
    add("--device", choices=["cpu", "cuda", "mps"])
    add("--fsdp", action="store_true", help="shard the model over the processes")
    for field in dataclasses.fields(TrainingConfig):
        if field.name in FOR_EXPERTS:
            continue
        flag = "--" + field.name.replace("_", "-")
        default = DEFAULTS.get(field.name, field.default)
        if field.type is bool:
            add(flag, action="store_true")
        elif field.name == "betas":
            add(flag, type=float, nargs=2, default=default)
        else:
            kind = KINDS.get(field.name, type(default))
            add(flag, type=kind, default=default, help=HELP.get(field.name, f"default {default}"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
