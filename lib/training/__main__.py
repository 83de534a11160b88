"""Train a model from the command line, alone or under torchrun.

    python -m lib.training --model tiny --steps 500 --folder runs/tiny

GPT-2 124M on one machine with eight GPUs, half a million tokens to a step as Brown et al. (2020)
used for this size, on a text of your own, tokenized by GPT-2's tokenizer.json:

    torchrun --standalone --nproc-per-node 8 -m lib.training --model gpt2 --data text.txt \\
        --tokenizer tokenizer.json --context-length 1024 --batch-size 512 --accumulate 4 \\
        --steps 19000 --warmup 700 --learning-rate 6e-4 --precision bfloat16 \\
        --checkpoint-every 500 --evaluate-every 250 --evaluation-sequences 1024 --folder runs/gpt2

The same command goes on where a killed run stopped. `--fsdp` shards the model over the processes.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch

from lib.corpora import english
from lib.files import write_file
from lib.model import LanguageModel, ModelConfig
from lib.tokenization import BPETokenizer
from lib.training.batches import split
from lib.training.config import TrainingConfig
from lib.training.distributed import Processes, start_processes, stop_processes
from lib.training.loop import train
from lib.training.tokens import byte_tokens, load_tokens

MODELS = {
    "tiny": dict(d_model=128, n_layers=4, n_heads=4, d_ff=512),  # 0.8 million parameters
    "gpt2": {},
}


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; the exit status is 2 for arguments that do not fit."""
    parser = _parser()
    options = parser.parse_args(arguments)
    processes = None
    try:
        processes = start_processes(options.device)
        config = TrainingConfig(
            **{f.name: getattr(options, f.name) for f in dataclasses.fields(TrainingConfig)}
        )
        training, validation, vocab_size = _tokens(options, processes)
        torch.manual_seed(config.seed)  # all processes begin with the same weights
        model = LanguageModel(
            ModelConfig.gpt2(
                vocab_size=vocab_size,
                context_length=config.context_length,
                dropout=options.dropout,
                **MODELS[options.model],
            )
        )
        history = train(
            model,
            training,
            config,
            validation,
            folder=options.folder,
            processes=processes,
            shard=options.fsdp,
        )
        if processes.first:
            _report(history, options.history)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if processes is not None:
            stop_processes(processes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lib.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=MODELS, default="tiny", help="a shape of GPT-2")
    parser.add_argument("--data", help="text or .npy of tokens (default: Python's documentation)")
    parser.add_argument("--tokenizer", help="tokenizer.json (default: bytes)")
    parser.add_argument(
        "--document-end", help='a special token that --data has between documents: "<|endoftext|>"'
    )
    parser.add_argument("--vocab-size", type=int, help="of --data tokens.npy")
    parser.add_argument("--folder", help="where checkpoints go, and where a run is resumed from")
    parser.add_argument("--history", help="write the history to this JSON file")
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--fsdp", action="store_true", help="shard the model over the processes")
    parser.add_argument("--dropout", type=float, default=0.0)
    for field in dataclasses.fields(TrainingConfig):
        flag = "--" + field.name.replace("_", "-")
        default = 500 if field.default is dataclasses.MISSING else field.default
        if field.type is bool:
            parser.add_argument(flag, action="store_true")
        elif field.name == "betas":
            parser.add_argument(flag, type=float, nargs=2, default=default)
        else:
            kind = int if field.name == "evaluation_sequences" else type(default)
            parser.add_argument(flag, type=kind, default=default, help=f"default {default}")
    return parser


def _tokens(
    options: argparse.Namespace, processes: Processes
) -> tuple[np.ndarray, np.ndarray, int]:
    """Training tokens, validation tokens, and the size of their vocabulary."""
    tokenizer = BPETokenizer.load(options.tokenizer) if options.tokenizer else None
    vocab_size = options.vocab_size or (tokenizer.vocab_size if tokenizer else 256)
    if options.data is None:
        tokens = byte_tokens(english())
    else:
        if not processes.first:
            processes.wait()  # the first encodes the text, the others read what it wrote
        tokens = load_tokens(options.data, tokenizer, options.document_end)
        if processes.first:
            processes.wait()
    if options.data and Path(options.data).suffix == ".npy" and not options.vocab_size:
        raise ValueError("--data with .npy needs --vocab-size: the array does not tell it")
    share = 0.1 if len(tokens) < 10_000_000 else 0.005
    training, validation = split(tokens, share)
    window = options.context_length + 1
    if min(len(training), len(validation)) < window:
        least = next(n for n in itertools.count(9 * window) if _held_out(n) >= window)
        raise ValueError(
            f"{len(tokens):,} tokens are too few: {share:.0%} are held out, and both parts must "
            f"fill a sequence of {window}. Give a text of at least {least:,} tokens, or a "
            "shorter --context-length"
        )
    if (most := max(int(part.max()) for part in (training, validation))) >= vocab_size:
        raise ValueError(f"a token is {most}, and --vocab-size is only {vocab_size}")
    return training, validation, vocab_size


def _held_out(n: int) -> int:
    """How many of `n` tokens are held out for validation, a tenth of each of ten parts."""
    return len(split(np.empty(n, np.uint8), 0.1)[1])


def _report(history: list[dict], path: str | None) -> None:
    last = history[-1]
    print(f"step {last['step']}: loss {last['loss']:.4f}, validation {last['validation_loss']:.4f}")
    if path:
        write_file(path, json.dumps(history))


if __name__ == "__main__":
    sys.exit(main())
