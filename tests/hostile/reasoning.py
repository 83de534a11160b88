"""What no fine-tuning takes: each of CASES must raise a clear error, or return."""

import dataclasses
import math

import numpy as np
import torch

from lib.model import LanguageModel, ModelConfig
from lib.reasoning.examples import Example, chat_example, conversation_example
from lib.reasoning.grpo import GRPOConfig, grpo
from lib.reasoning.rejection import mix, rejection_sample
from lib.reasoning.rewards import ACCURACY, weighted
from lib.reasoning.rollouts import response_log_p, sample
from lib.reasoning.sft import SFTConfig, only_last_layers, pack, packed_hidden, sft
from lib.reasoning.task import VOCABULARY, Problem, draw_problems, encode
from lib.tokenization import BPETokenizer

SMALL = dict(
    vocab_size=len(VOCABULARY), context_length=16, d_model=12, n_layers=2, n_heads=2, d_ff=20
)
VALUES = [None, True, "16", "", math.nan, math.inf, -1, 0, 1.5, 10**30, 1j, [], [3], {}, "a" * 9999]
VALUES += [(1,), np.array([1, 2]), torch.ones(2), object()]
EXAMPLES = [Example([1, 2, 3]), Example([4, 5], 1)]
USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
CHAT += "{% if add_generation_prompt %}<assistant>{% endif %}"
TOKENIZER = BPETokenizer.train("<user><assistant>ab", 260)
MESSAGES = {
    "none": None,
    "a text": "hi",
    "one message": ANSWER,
    "nothing": [],
    "no answer": [USER],
    "no content": [USER, {"role": "assistant"}],
    "no role": [{"content": "a"}],
    "texts": ["a", "b"],
    "a role that is no text": [{"role": 3, "content": "a"}],
    "content that is no text": [USER, {"role": "assistant", "content": 3}],
    "content of parts": [USER, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}],
    "tool calls": [USER, {"role": "assistant", "tool_calls": [3]}],
    "surrogates": [USER, {"role": "assistant", "content": "\ud800"}],
}


def model() -> LanguageModel:
    return LanguageModel(ModelConfig(**SMALL))


def changed(**parts):
    return packed_hidden(model(), dataclasses.replace(pack(EXAMPLES, 8), **parts))


def rolled(**parts):
    rollouts = sample(model(), [[1, 2], [3]], 5)
    return response_log_p(model(), dataclasses.replace(rollouts, **parts))


def learn(reward, config=None):
    config = GRPOConfig(1, 1, 2, length=12) if config is None else config
    return grpo(model(), lambda n, step: draw_problems(n, step), reward, config)


CASES = [
    (
        f"{kind.__name__}({field.name}={value!r:.20})",
        lambda k=kind, f=field.name, v=value: k(**({"steps": 1} | {f: v})),
    )
    for kind in (SFTConfig, GRPOConfig)
    for field in dataclasses.fields(kind)
    for value in VALUES
]
for value in VALUES:
    name = f"{value!r:.20}"
    CASES += [
        (f"Example({name})", lambda v=value: Example(v)),
        (f"Example(n_prompt={name})", lambda v=value: Example([1, 2, 3], v)),
        (f"Example(learned={name})", lambda v=value: Example([1, 2], learned=v)),
        (f"pack({name})", lambda v=value: pack(v, 8)),
        (f"pack([{name}])", lambda v=value: pack([v], 8)),
        (f"pack(row_length={name})", lambda v=value: pack(EXAMPLES, v)),
        (f"pack(pad_id={name})", lambda v=value: pack(EXAMPLES, 8, v)),
        (f"packed_hidden({name})", lambda v=value: packed_hidden(model(), v)),
        (f"sft(model={name})", lambda v=value: sft(v, EXAMPLES, SFTConfig(1))),
        (f"sft(examples={name})", lambda v=value: sft(model(), v, SFTConfig(1))),
        (f"sft(config={name})", lambda v=value: sft(model(), EXAMPLES, v)),
        (f"only_last_layers({name})", lambda v=value: only_last_layers(model(), v)),
        (f"sample({name})", lambda v=value: sample(model(), v)),
        (f"sample([{name}])", lambda v=value: sample(model(), [v])),
        (f"sample(length={name})", lambda v=value: sample(model(), [[1]], v)),
        (f"sample(temperature={name})", lambda v=value: sample(model(), [[1]], 4, v)),
        (f"sample(end_id={name})", lambda v=value: sample(model(), [[1]], 4, end_id=v)),
        (f"response_log_p({name})", lambda v=value: response_log_p(model(), v)),
        (f"rollouts' drawn={name}", lambda v=value: rolled(drawn=v)),
        (f"rollouts' ids={name}", lambda v=value: rolled(ids=v)),
        (f"grpo(a reward of {name})", lambda v=value: learn(lambda problem, words: v)),
        (f"grpo(config={name})", lambda v=value: learn(ACCURACY, v)),
        (f"weighted(answer={name})", lambda v=value: weighted(answer=v)),
        (f"mix(share={name})", lambda v=value: mix(EXAMPLES, v)),
        (f"rejection_sample(draws={name})", lambda v=value: rejection_sample(model(), [], draws=v)),
        (f"encode({name})", lambda v=value: encode(v)),
        (f"Problem({name})", lambda v=value: Problem(v, ("+1",))),
        (f"Problem(operations={name})", lambda v=value: Problem(1, v)),
        (f"draw_problems({name})", lambda v=value: draw_problems(v, 0)),
        (f"chat_example(question={name})", lambda v=value: chat_example(TOKENIZER, v, "a", CHAT)),
        (f"chat_example(template={name})", lambda v=value: chat_example(TOKENIZER, "a", "b", v)),
    ]
    CASES += [
        (f"packed {part}={name}", lambda p=part, v=value: changed(**{p: v}))
        for part in ("ids", "positions", "segments", "learned")
    ]
CASES += [
    (f"conversation_example({name})", lambda v=v: conversation_example(TOKENIZER, v, CHAT))
    for name, v in MESSAGES.items()
]
