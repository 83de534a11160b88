"""Let a model write: a folder that lib.training wrote, a .gguf file, or smollm2-135m-instruct.

    python -m lib.generation runs/mine "Once"
    python -m lib.generation smollm2-135m-instruct "The capital of France is" --no-do-sample
    python -m lib.generation smollm2-135m-instruct --chat
    python -m lib.generation smollm2-135m-instruct --measure

Text appears as it is written. Every setting of GenerationConfig is a flag. Where none is given that
says how to decode, the text is drawn at temperature 0.8 with top_p 0.95; a setting of a draw, such
as --temperature or --top-k, is a wish to draw. `--chat` keeps a
conversation: a line of standard input is a turn. `--measure` compares float32, bfloat16 and int8
weights: speed, and mean surprise on 1,500 tokens of Python's documentation.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

from lib.commands import CommandParser, command
from lib.corpora import english
from lib.generation.config import ONLY_DRAWING, GenerationConfig
from lib.generation.decode import generate, stream_text
from lib.generation.flags import add_flags, given_settings
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.scaling.quantization import use_int8
from lib.tokenization import BPETokenizer
from lib.tokenization.chat import encode_chat

WEIGHTS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.bfloat16}
USUAL = dict(do_sample=True, temperature=0.8, top_p=0.95)
LENGTH = 200  # new tokens, if the model's context has room for them
MEASURED, GREEDY = 1500, 64  # tokens whose surprise is measured, and tokens that are timed


def main(arguments: list[str] | None = None) -> int:
    """Write, chat or measure; the exit status is 2 for arguments that do not fit."""
    options = _parser().parse_args(arguments)
    try:
        if options.measure:
            _measure(options)
            return 0
        model, tokenizer = _load(options.model, options.weights)
        if options.chat:
            _chat(model, tokenizer, options)
        elif options.prompt is None:
            example = f'{command("lib.generation")} {options.model} "Once"'
            raise ValueError(f"give a text to go on from, as in: {example}")
        else:
            _write(model, tokenizer, options.prompt, options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m lib.generation", __doc__)
    parser.add_argument("model", help="folder, .gguf file, hub id, or smollm2-135m-instruct")
    parser.add_argument("prompt", nargs="?", help="the text to go on from")
    parser.add_argument("--chat", action="store_true", help="a conversation, by a chat template")
    parser.add_argument("--system", help="what --chat begins with, as the system's message")
    parser.add_argument("--weights", choices=WEIGHTS, default="float32")
    parser.add_argument("--measure", action="store_true", help="compare the kinds of weights")
    parser.add_argument("--quiet", action="store_true", help="no line on the speed at the end")
    add_flags(parser)
    return parser


def _load(name: str, weights: str) -> tuple[LanguageModel, BPETokenizer]:
    model, tokenizer = load_pretrained(name, dtype=WEIGHTS[weights])
    if tokenizer is None:
        raise ValueError(f"{name} has no tokenizer: text needs one")
    return (use_int8(model) if weights == "int8" else model), tokenizer


def _settings(options: argparse.Namespace, tokenizer: BPETokenizer, room: int) -> GenerationConfig:
    """What the flags say; otherwise a draw, as long as there is room for."""
    given = given_settings(options, tokenizer)
    loop = {"max_new_tokens", "eos_token_id", "stop_strings", "seed", "use_cache", "pad_token_id"}
    settings = dict(given) if given.keys() - loop else USUAL | given
    if given.keys() & ONLY_DRAWING and not given.keys() & {"num_beams", "penalty_alpha"}:
        settings.setdefault("do_sample", True)  # the flag could have no other sense
    settings.setdefault("max_new_tokens", max(1, min(LENGTH, room)))
    if tokenizer.stop_ids:
        settings.setdefault("eos_token_id", tokenizer.stop_ids)
    return GenerationConfig(**settings)


def _write(
    model: LanguageModel,
    tokenizer: BPETokenizer,
    prompt: str | list[dict[str, str]],
    options: argparse.Namespace,
) -> str:
    """Print the continuation as it comes; returns it."""
    ids = _ids(tokenizer, prompt)
    if not ids:
        raise ValueError("the prompt is empty: give at least a letter to go on from")
    room = model.config.context_length - len(ids)
    config, text = _settings(options, tokenizer, room), ""
    started = time.perf_counter()
    pieces = _pieces(model, tokenizer, prompt, ids, config)
    first = next(pieces, "")  # what is refused is refused here, before anything is printed
    if isinstance(prompt, str):
        print(prompt, end="")
    for piece in itertools.chain([first], pieces):
        print(piece, end="", flush=True)
        text += piece
    seconds = time.perf_counter() - started
    print()
    if not options.quiet:
        n = len(tokenizer.encode(text))
        print(f"[{n} tokens, {n / seconds:.1f} a second]", file=sys.stderr)
    return text


def _ids(tokenizer: BPETokenizer, prompt: str | list[dict[str, str]]) -> list[int]:
    if isinstance(prompt, str):
        return tokenizer.encode(prompt, allowed_special="all")
    return encode_chat(tokenizer, prompt)


def _pieces(
    model: LanguageModel,
    tokenizer: BPETokenizer,
    prompt: Any,
    ids: list[int],
    config: GenerationConfig,
) -> Iterator[str]:
    """The text piece by piece; beam search knows it only at the end."""
    if config.num_beams == 1:
        yield from stream_text(model, tokenizer, prompt, config)
        return
    new = generate(model, torch.tensor([ids]), config).new_ids
    rows = [[i for i in row if i not in config.stop_ids] for row in new.tolist()]
    yield "\n---\n".join(tokenizer.decode(row) for row in rows)


def _chat(model: LanguageModel, tokenizer: BPETokenizer, options: argparse.Namespace) -> None:
    """Turn by turn; the oldest turns fall out when the context is full."""
    if not tokenizer.chat_template:
        raise ValueError(
            f"{options.model} has no chat template: {command('lib.reasoning.sft')} gives it one"
        )
    first = [{"role": "system", "content": options.system}] if options.system else []
    turns: list[dict[str, str]] = []
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if not line.strip():
            continue
        turns.append({"role": "user", "content": line.strip()})
        needed = getattr(options, "max_new_tokens", min(LENGTH, model.config.context_length // 4))
        while len(turns) > 1 and (
            len(_ids(tokenizer, first + turns)) + needed > model.config.context_length
        ):
            turns = turns[2:]  # a question and its answer
        answer = _write(model, tokenizer, first + turns, options)
        turns.append({"role": "assistant", "content": answer})


@torch.inference_mode()
def _measure(options: argparse.Namespace) -> None:
    """Tokens a second and mean surprise with each kind of weights, as a table."""
    first = None
    for weights in WEIGHTS:
        model, tokenizer = _load(options.model, weights)
        if first is None:
            print(f"{'weights':10} {'tokens/s':>9} {'times':>6} {'surprise (nats a token)':>24}")
        text = english(20_000)
        ids = torch.tensor([tokenizer.encode(text)[: min(MEASURED, model.config.context_length)]])
        logits = model(ids[:, :-1]).float()
        surprise = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:]).item()
        length = min(GREEDY, model.config.context_length - 8)
        runs = [
            generate(model, ids[:, :8], GenerationConfig(max_new_tokens=length)) for _ in range(3)
        ]
        speed = max(run.tokens_per_second for run in runs)
        first = first or speed
        print(f"{weights:10} {speed:9.1f} {speed / first:6.2f} {surprise:24.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
