"""Fine-tune a model of your own on chats: several turns, system prompts, every answer learned.

    python -m lib.reasoning.sft runs/mine --chats chats.jsonl
    python -m lib.generation runs/mine-chat --chat

Each line of the file is a chat, {"messages": [{"role": "user", "content": "…"}, …]}, with the roles
system, user and assistant. The loss counts every answer and its end; several chats are packed into
one row. A tenth of the chats is held out. A model without a chat template gets ChatML's, which the
control tokens of lib.training's tokenizers are made for.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm

from lib.commands import CommandParser, command, require_writable
from lib.downloads import DownloadError
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.reasoning.examples import Example, conversation_example
from lib.reasoning.sft import SFTConfig, pack, sft, sft_loss
from lib.settings import require
from lib.tokenization import BPETokenizer
from lib.training import save_model
from lib.training.loop import no_bars
from lib.training.tokens import lines_of

FEW = 20  # steps
ROLES = ("system", "user", "assistant")
START, END = "<|im_start|>", "<|im_end|>"
EXAMPLE = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # OpenAI's format of 2023, as SmolLM2 and Qwen have it


def main(arguments: list[str] | None = None) -> int:
    """Read the chats, train, save; the exit status is 2 for arguments that do not fit."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError, DownloadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m lib.reasoning.sft", __doc__)
    parser.add_argument("model", help="a folder that lib.training wrote, or smollm2-135m-instruct")
    parser.add_argument("--chats", required=True, help="a file with a chat in JSON on each line")
    parser.add_argument("--out", help="the folder to write (default: the model's name and -chat)")
    parser.add_argument("--passes", type=float, default=3.0, help="over the chats (default 3)")
    parser.add_argument("--batch-size", type=int, default=8, help="chats (default 8)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="default 1e-3")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _run(options: argparse.Namespace) -> None:
    require("--passes", options.passes, "(0, 1e6]")
    config = SFTConfig(
        steps=1,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    out = Path(f"{options.model.rstrip('/')}-chat" if options.out is None else options.out)
    if out.exists():
        raise ValueError(f"{out} exists already: give --out a new folder")
    require_writable("--out", out)
    chats = read_chats(options.chats)
    model, tokenizer = load_pretrained(options.model)
    if tokenizer is None:
        raise ValueError(f"{options.model} has no tokenizer: chats need one")
    give_template(tokenizer)
    examples = _examples(chats, tokenizer, model.config.context_length)
    held_out = examples[::10] if len(examples) >= 10 else []
    learned = [example for i, example in enumerate(examples) if i % 10 or not held_out]
    steps = max(1, math.ceil(options.passes * len(learned) / options.batch_size))
    config = dataclasses.replace(config, steps=steps)
    before = _loss(model, held_out)
    print(f"{len(learned)} chats to learn from, {len(held_out)} held out, {steps} steps")
    if steps < FEW:
        passes = math.ceil(2.5 * FEW * options.batch_size / len(learned))
        print(f"{steps} steps teach little: --passes {passes} makes about {2.5 * FEW:.0f} of them")
    if not held_out:
        print("Fewer than ten chats: none is held out, so that nothing tells what was learned")
    with tqdm(total=steps, unit=" steps", disable=no_bars()) as bar:

        def on_step(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        losses = sft(model, learned, config, on_step)
    save_model(out, model, tokenizer)
    print(f"loss of the answers: {losses[0]:.3f} at first, {losses[-1]:.3f} at last")
    if held_out:
        print(f"held out: {before:.3f} before, {_loss(model, held_out):.3f} after, nats per token")
    print(f"Now: {command('lib.generation')} {out} --chat")


def read_chats(path: str | Path) -> list[list[dict[str, str]]]:
    """The messages of each line. Raises ValueError that names the line that is no chat."""
    path, chats = Path(path), []
    if not path.is_file():
        raise ValueError(f"there is no file {path}: --chats names a file with a chat on each line")
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            chat = json.loads(line)
            chat = chat["messages"] if isinstance(chat, dict) else chat
            if not all(m["role"] in ROLES and isinstance(m["content"], str) for m in chat):
                raise TypeError(f"role must be one of {', '.join(ROLES)}, and content a text")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name}, line {number} is no chat ({error!s:.80}): it must be like {EXAMPLE}"
            ) from error
        chats.append(chat)
    if not chats:
        raise ValueError(f"{path.name} holds no chat")
    return chats


def give_template(tokenizer: BPETokenizer) -> None:
    """ChatML where a tokenizer has no template; its end of a turn becomes a stop.

    Raises ValueError for a tokenizer without the two control tokens.
    """
    if tokenizer.chat_template:
        return
    if not {START, END} <= tokenizer.special_tokens.keys():
        raise ValueError(
            f"the tokenizer has neither a chat template nor the tokens {START} and {END}: train "
            "the model with a tokenizer that has, such as --tokenizer bpe:2048 or bytes"
        )
    tokenizer.chat_template = CHATML
    tokenizer.other_stop_ids = (*tokenizer.other_stop_ids, tokenizer.token_to_id[END])


def _examples(
    chats: Sequence[list[dict[str, str]]], tokenizer: BPETokenizer, context_length: int
) -> list[Example]:
    """The chats as ids; those that are longer than the context are left out, and counted."""
    examples = []
    for number, chat in enumerate(chats, 1):
        try:
            examples.append(conversation_example(tokenizer, chat))
        except ValueError as error:
            raise ValueError(f"chat {number}: {error}") from error
    short = [example for example in examples if len(example.ids) <= context_length]
    if not short:
        least = min(len(example.ids) for example in examples)
        raise ValueError(
            f"the shortest chat has {least} tokens, and the model a context of {context_length}: "
            "shorten the chats, or train the model with a longer --context-length"
        )
    if len(short) < len(examples):
        left = len(examples) - len(short)
        print(f"{left} of {len(examples)} chats are longer than the context: left out")
    return short


@torch.no_grad()
def _loss(model: LanguageModel, examples: Sequence[Example]) -> float:
    if not examples:
        return math.nan
    return sft_loss(model.eval(), pack(examples, model.config.context_length)).item()


if __name__ == "__main__":
    sys.exit(main())
