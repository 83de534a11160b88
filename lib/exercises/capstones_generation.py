"""Capstones of chapters 9 and 11: a sampler, and a draft that is checked."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import claim
from lib.exercises.checking import Exercise, Probe
from lib.generation import GenerationConfig, generate
from lib.pretrained import load_pretrained

PROMPT = "The lighthouse stood on a rock, and every evening"


def sampler(
    logits: Float[Tensor, "V"],
    temperature: float,
    p: float,
    u: float,
    *,
    heat: Callable = lambda z, t: z / t,
    keep: Callable = lambda total, q, p: total - q < p,
    order: str = "heat first",
    scaled: bool = True,
    pick: Callable = lambda total, u: int((total <= u).sum()),
) -> int:
    """The token at `u` of the distribution after temperature and nucleus, ids in rising order."""
    hot = heat(logits.double(), temperature).softmax(-1)
    ranked = hot if order != "cut first" else logits.double().softmax(-1)
    q, ids = ranked.sort(descending=True)
    kept = torch.zeros(len(q), dtype=torch.bool)
    kept[ids[keep(q.cumsum(0), q, p)]] = True
    left = hot.where(kept, 0.0)
    left = left / left.sum() if scaled else left
    if order == "kept":
        return pick(left[kept].cumsum(0), u)
    place = min(pick((left[ids] if order == "ranked" else left).cumsum(0), u), len(q) - 1)
    return int(ids[place]) if order == "ranked" else place


def _sampler_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    cases: list[tuple] = [(torch.tensor([0.1, 0.5, 0.15, 0.25]).log(), 1.0, 0.7, 0.5)]
    for i, u in enumerate((0.02, 0.31, 0.55, 0.74, 0.9, 0.99) * 4):
        size, heat = 6 + i, (0.5, 1.0, 1.7, 0.8, 2.5)[i % 5]
        cases.append((torch.randn(size) * 2, heat, (0.4, 0.7, 0.9, 1.0)[i % 4], u))
    return cases


def stream(my_sampler: Callable, tokens: int = 40) -> None:
    """Let `my_sampler` choose each token of SmolLM2's text, cool and hot."""
    model, tokenizer = load_pretrained("smollm2-135m-instruct", dtype=torch.bfloat16)
    dice = torch.Generator().manual_seed(1)
    texts = []
    for temperature, p in ((0.1, 0.9), (1.5, 1.0)):
        ids = tokenizer.encode(PROMPT)
        begin = len(ids)
        with torch.inference_mode():
            for _ in range(tokens):
                logits = model(torch.tensor([ids]))[0, -1].float()
                u = torch.rand(1, generator=dice).item()
                ids.append(int(my_sampler(logits, temperature, p, u)))
        texts.append(ids[begin:])
        print(f"temperature {temperature}, p {p}: {tokenizer.decode(ids[begin:])!r}")
    claim("the two temperatures write different texts", texts[0] != texts[1])


LOW = (torch.tensor([-9.0, 1.0, 2.0]), 1.0, 0.9, 0.0)

check_my_sampler = Exercise(
    title="Your own sampler",
    reference=sampler,
    cases=_sampler_cases,
    switches={
        "heat": {
            lambda z, t: z * t: "The logits are multiplied by the temperature: divide.",
            lambda z, t: z: "The temperature is not used.",
            lambda z, t: z / t**2: "The temperature is applied twice.",
        },
        "keep": {
            lambda total, q, p: total <= p: "The token with which the sum reaches p is missing.",
            lambda total, q, p: (total <= p) | (total == total[0]): (
                "The token with which the sum reaches p is missing."
            ),
            lambda total, q, p: (total - q < p).roll(1) | (total == total[0]): (
                "It keeps one token more than p needs."
            ),
            lambda total, q, p: q > 0: "p is not used: nothing is cut off.",
            lambda total, q, p: q >= p * q[0]: "This is min_p: p is for the sum.",
        },
        "order": {
            "cut first": "The nucleus is cut before the temperature: divide by it first.",
            "kept": "This is a place among the tokens that are kept: return the token's id.",
            "ranked": "It goes from the most probable token on: go through the ids in rising "
            "order.",
        },
        "scaled": {False: "What is left is not scaled to 1 again."},
        "pick": {
            lambda total, u: int((total <= 1 - u).sum()): "It goes from the other end: u is the "
            "running sum from id 0 on.",
            lambda total, u: int(torch.diff(total, prepend=torch.zeros(1)).argmax()): (
                "It takes the most probable token: u decides."
            ),
            lambda total, u: int((total <= u).sum()) + 1: "It takes the token after.",
            lambda total, u: max(int((total <= u).sum()) - 1, 0): "It takes the token before.",
        },
    },
    probes=[Probe("With u = 0 the first token that is kept comes.", LOW, alone=True)],
    difficulty=3,
    minutes=25,
    result=stream,
)  # fmt: skip


def draft(
    p: Float[Tensor, "N1 V"],
    q: Float[Tensor, "N V"],
    guesses: list[int],
    u: list[float],
    *,
    accepted: Callable = lambda u, p, q, x: u * q[x] < p[x],
    missing: Callable = lambda p, q: (p - q).clamp(min=0),
    place: Callable = lambda u, i: u[-1],
    drawn: Callable = lambda weights, total, u: int((total / total[-1] <= u).sum()),
    row: int = 0,
    last: Callable = lambda p: p[-1:],
    kept: Callable = lambda token, guess: [token],
    after: str = "stop",
) -> list[int]:
    """The tokens of one round: guesses that hold, and one of the large model's own."""

    def at(weights: Tensor, i: int) -> int:
        token = drawn(weights, weights.double().cumsum(0), place(u, i))
        return min(max(token, 0), len(weights) - 1)

    tokens: list[int] = []
    for i, guess in enumerate(guesses):
        if accepted(u[i], p[i].double(), q[i].double(), guess):
            tokens.append(guess)
        else:
            tokens += kept(at(missing(p[i + row], q[i]), i), guess)
            if after == "stop":
                return tokens
    return [*tokens, *(at(weights, len(guesses)) for weights in last(p))]


def _draft_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    cases = []
    for i in range(12):
        n, size = 1 + i % 4, 4 + i
        q = (1.5 * torch.randn(n, size)).softmax(-1)
        p = (torch.cat([q, q[:1]]).log() + 0.7 * torch.randn(n + 1, size)).softmax(-1)
        guesses = torch.multinomial(q, 1)[:, 0].tolist()
        cases.append((p, q, guesses, torch.rand(n + 1).tolist()))
    return cases


def _lookup(ids: Sequence[int], most: int = 4) -> list[int]:
    """What followed the last time that the last token occurred."""
    for i in range(len(ids) - 2, -1, -1):
        if ids[i] == ids[-1]:
            return list(ids[i + 1 : i + 1 + most])
    return []


def speculate_greedily(my_draft: Callable, tokens: int = 40) -> None:
    """Guess SmolLM2's next tokens from the text itself, and let `my_draft` judge the guesses."""
    model, tokenizer = load_pretrained("smollm2-135m-instruct", dtype=torch.float32)
    prompt = tokenizer.encode("one two three one two three one two three one two")
    ids, passes = list(prompt), 0
    with torch.inference_mode():
        while len(ids) < len(prompt) + tokens:
            guesses = _lookup(ids)
            logits = model(torch.tensor([ids + guesses]))[0, len(ids) - 1 :]
            p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
            q = torch.nn.functional.one_hot(torch.tensor(guesses, dtype=torch.long), p.shape[-1])
            ids += my_draft(p, q.float(), guesses, [0.5] * (len(guesses) + 1))
            passes += 1
    settings = GenerationConfig(max_new_tokens=tokens, eos_token_id=())
    greedy = generate(model, torch.tensor([prompt]), settings).ids[0].tolist()
    new = len(ids) - len(prompt)
    print(f"{new} tokens in {passes} passes: {tokenizer.decode(ids[len(prompt) :])!r}")
    claim("the tokens are those of greedy decoding", ids[: len(greedy)] == greedy)
    claim("each pass gives more than one token on this text", new > passes)


check_my_draft = Exercise(
    title="Your own speculative round",
    reference=draft,
    cases=_draft_cases,
    switches={
        "accepted": {
            lambda u, p, q, x: u * p[x] < q[x]: "The ratio is upside down: accept with "
            "min(1, p / q).",
            lambda u, p, q, x: u < p[x]: "It accepts with p: accept with min(1, p / q).",
            lambda u, p, q, x: u < q[x]: "It accepts with q: accept with min(1, p / q).",
            lambda u, p, q, x: p[x] >= q[x]: "It accepts only where p is above q: u decides.",
            lambda u, p, q, x: x == p.argmax(): "It accepts the model's first choice alone: that "
            "is for greedy decoding.",
            lambda u, p, q, x: True: "It accepts every guess.",
            lambda u, p, q, x: False: "It rejects every guess.",
            lambda u, p, q, x: u > p[x] / q[x]: "It rejects what it should accept.",
        },
        "place": {
            lambda u, i: u[i]: "It draws with u[i], which has judged the guess: draw with u[-1].",
        },
        "drawn": {
            lambda w, total, u: int(w.argmax()): "It takes the likeliest token: draw it with u.",
            lambda w, total, u: int((total <= u).sum()): "The weights are not scaled to 1.",
            lambda w, total, u: int((total / total[-1] <= u).sum()) - 1: "It takes the id before.",
        },
        "row": {1: "It takes p of the next place: the guess that fell stood at place i."},
        "kept": {lambda token, guess: [guess, token]: "The guess that is rejected is kept too."},
        "missing": {
            lambda p, q: p: "After a rejection it draws from p: draw from max(0, p - q).",
            lambda p, q: q: "After a rejection it draws from q: draw from max(0, p - q).",
            lambda p, q: (p - q).abs(): "It draws from |p - q|: cut negative numbers to 0.",
            lambda p, q: (q - p).clamp(min=0): "It draws from q - p, the reverse.",
            lambda p, q: 1.0 * ((p - q) == (p - q).max()): "It takes the token that is most "
            "missing: draw it with u.",
        },
        "last": {
            lambda p: []: "If all guesses hold, the last row of p gives one more token.",
            lambda p: p[-2:-1]: "The token after all guesses comes from the last row of p.",
        },
        "after": {"go on": "It goes on after a rejection: later guesses follow another text."},
    },
    probes=[
        Probe(
            "A guess with p = 0 never holds: u * q must be below p, not equal to it.",
            (torch.tensor([[0.0, 1.0]] * 2), torch.tensor([[0.5, 0.5]]), [0], [0.0, 0.5]),
        ),
        Probe(
            "The running sum must be above u[-1], not equal to it.",
            (torch.tensor([[0.5, 0.5]] * 2), torch.tensor([[0.5, 0.5]]), [0], [0.2, 0.5]),
        ),
    ],
    difficulty=3,
    minutes=25,
    result=speculate_greedily,
)  # fmt: skip
