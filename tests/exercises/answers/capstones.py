"""Answers to three capstones: a speculative round, a model's bill, a reward."""

import numpy as np
import torch

from lib.model import ModelConfig
from lib.reasoning.corpus import clean_response
from lib.reasoning.task import Problem
from lib.reasoning.verifier import verify
from tests.exercises.answers import exercise

# --- 1. One round of speculative decoding


def draw(weights, u):
    total = weights.double().cumsum(0)
    return min(int((total / total[-1] <= u).sum()), len(weights) - 1)


def drafting(
    holds=lambda u, p, q, x: u * q[x] < p[x],
    fallen=lambda p, q, i, u: draw((p[i] - q[i]).clamp(min=0), u[-1]),
    last=lambda p, u: [draw(p[-1], u[-1])],
    keeps=False,
):
    """A round that does one thing or another otherwise."""

    def my_draft(p, q, guesses, u):
        for i, guess in enumerate(guesses):
            if not holds(u[i], p[i], q[i], guess):
                return [*guesses[: i + keeps], fallen(p, q, i, u)]
        return [*guesses, *last(p, u)]

    return my_draft


def draft_cases():
    torch.manual_seed(3)
    cases = [
        (torch.tensor([[0.0, 1.0]] * 2), torch.tensor([[0.5, 0.5]]), [0], [0.0, 0.5]),
        (torch.tensor([[0.5, 0.5]] * 2), torch.tensor([[0.5, 0.5]]), [0], [0.2, 0.5]),
    ]
    for n in (1, 2, 3, 4) * 3:
        p, q = torch.randn(n + 1, 9).softmax(-1), (2 * torch.randn(n, 9)).softmax(-1)
        cases.append((p, q, torch.multinomial(q, 1)[:, 0].tolist(), torch.rand(n + 1).tolist()))
    return cases


wrong, right = exercise(
    "lib.exercises.capstones_generation", "check_my_draft", drafting(), draft_cases
)


@right("a while loop over arrays")
def _(p, q, guesses, u):
    p, q = p.numpy().astype(float), q.numpy().astype(float)
    k = 0
    while k < len(guesses) and u[k] * q[k, guesses[k]] < p[k, guesses[k]]:
        k += 1
    total = np.cumsum(p[k] if k == len(guesses) else np.maximum(p[k] - q[k], 0))
    place = np.searchsorted(total / total[-1], u[-1], side="right")
    return [*guesses[:k], min(int(place), len(total) - 1)]


@right("plain numbers")
def _(p, q, guesses, u):
    tokens, weights = [], p[-1].tolist()
    for i, guess in enumerate(guesses):
        if float(u[i]) * float(q[i][guess]) >= float(p[i][guess]):
            pairs = zip(p[i].tolist(), q[i].tolist(), strict=True)
            weights = [max(0.0, a - b) for a, b in pairs]
            break
        tokens.append(guess)
    before = 0.0
    for k, weight in enumerate(weights):
        before += weight / sum(weights)
        if before > u[-1]:
            return [*tokens, k]
    return [*tokens, len(weights) - 1]


wrong("no token after all guesses", drafting(last=lambda p, u: []))
wrong("draws from p after a rejection", drafting(fallen=lambda p, q, i, u: draw(p[i], u[-1])))
wrong("takes what is most missing", drafting(fallen=lambda p, q, i, u: int((p[i] - q[i]).argmax())))
wrong(
    "takes the likeliest everywhere",
    drafting(
        fallen=lambda p, q, i, u: int((p[i] - q[i]).argmax()),
        last=lambda p, u: [int(p[-1].argmax())],
    ),
)
wrong(
    "draws with the number that judged",
    drafting(fallen=lambda p, q, i, u: draw((p[i] - q[i]).clamp(min=0), u[i])),
)
wrong(
    "what is missing is not scaled",
    drafting(
        fallen=lambda p, q, i, u: min(
            int(((p[i] - q[i]).clamp(min=0).cumsum(0) <= u[-1]).sum()), p.shape[1] - 1
        )
    ),
)
wrong("keeps the guess that fell", drafting(keeps=True))
wrong("ratio upside down", drafting(holds=lambda u, p, q, x: u * p[x] < q[x]))
wrong("accepts where u is below p", drafting(holds=lambda u, p, q, x: u < p[x]))
wrong("accepts the model's first choice", drafting(holds=lambda u, p, q, x: p.argmax() == x))
wrong("accepts where u q equals p", drafting(holds=lambda u, p, q, x: u * q[x] <= p[x]))
wrong(
    "draws from q - p",
    drafting(fallen=lambda p, q, i, u: draw((q[i] - p[i]).clamp(min=0), u[-1])),
)
wrong(
    "p of the next place",
    drafting(fallen=lambda p, q, i, u: draw((p[i + 1] - q[i]).clamp(min=0), u[-1])),
)
wrong(
    "the token after all guesses from the last but one row",
    drafting(last=lambda p, u: [draw(p[-2], u[-1])]),
)
wrong(
    "both: draws from p, and no token after all guesses",
    drafting(fallen=lambda p, q, i, u: draw(p[i], u[-1]), last=lambda p, u: []),
)

# --- 2. A model's bill


def billing(
    gates=3, norms=(2, 1), tables=None, head=None, products=2, each=6, cache=4, per=86_400, bad=None
):
    def my_report(config, positions, tokens, speed):
        c, tied = config, config.tie_embeddings
        heads = 2 * c.n_heads + 2 * c.n_kv_heads
        layer = c.d_model * c.d_head * heads + gates * c.d_model * c.d_ff
        table = c.vocab_size * c.d_model
        n = c.n_layers * layer + (norms[0] * c.n_layers + norms[1]) * c.d_model
        n += table * (tables(tied) if tables else 2 - tied)
        pairs = c.n_layers * products * c.n_heads * c.d_head * positions
        flops = each * (c.n_layers * layer + pairs + table * (head(tied) if head else 1))
        bill = {"parameters": n, "flops": flops, "days": flops * tokens / speed / per}
        bill["cache"] = cache * c.n_layers * c.n_kv_heads * c.d_head * positions
        return bill if bad is None else bad(bill, positions, tokens, speed)

    return my_report


def bill_cases():
    small = ModelConfig.llama3_8b(
        vocab_size=40, d_model=12, n_layers=3, n_heads=4, d_ff=18, n_kv_heads=2, d_head=6
    )
    tied = small.replace(tie_embeddings=True, n_layers=2)
    return [(small, 7, 1e5, 1e8), (tied, 30, 1e6, 1e9), (ModelConfig.smollm2_135m(), 99, 1e9, 1e15)]


wrong, right = exercise("lib.exercises.capstones_scaling", "check_my_report", billing(), bill_cases)
right("NumPy's numbers", lambda *a: {k: np.float64(v) for k, v in billing()(*a).items()})
right("other order of keys", lambda *a: dict(sorted(billing()(*a).items())))
wrong("two feed-forward matrices", billing(gates=2))
wrong("norms left out", billing(norms=(0, 0)))
wrong("last norm left out", billing(norms=(2, 0)))
wrong("one norm a layer", billing(norms=(1, 1)))
wrong("tied head counted twice", billing(tables=lambda tied: 2))
wrong("embedding left out", billing(tables=lambda tied: 1 - tied))
wrong("head left out of the FLOPs", billing(head=lambda tied: 0))
wrong("tied head left out of the FLOPs", billing(head=lambda tied: 1 - tied))
wrong("attention's products left out", billing(products=0))
wrong("one of attention's products", billing(products=1))
wrong("forward pass alone", billing(each=2))
wrong("keys alone in the cache", billing(cache=2))
wrong("hours", billing(per=3600))
wrong("FLOPs of a text", billing(bad=lambda b, t, d, s: b | {"flops": b["flops"] * t}))
wrong(
    "days by 6N",
    billing(bad=lambda b, t, d, s: b | {"days": 6 * b["parameters"] * d / s / 86_400}),
)
wrong("both: no norms, keys alone", billing(norms=(0, 0), cache=2))

# --- 3. A reward


def my_reward(problem, words):
    verdict = verify(problem, words)
    return verdict.answer + 0.1 * verdict.ended + 0.5 * verdict.chain


def response_cases():
    problem = Problem(5, ("+8", "*3"))
    good = clean_response(problem)
    plain = "5 +8 is 3 then 3 *3 is 9 answer 9 <eos>".split()
    texts = [good, good[:-1], plain, plain[-3:], plain[:-3], [*good, "then"], [*good[:-3], "<eos>"]]
    texts += ["5 +8 fait 3 then 3 *3 is 9 answer 9 <eos>".split()]
    texts += [[*good[:4], "1", *good[5:]], [*plain[:-2], "8", "<eos>"], [*plain[:-2], "8"]]
    return [(problem, words) for words in texts]


wrong, right = exercise(
    "lib.exercises.capstones_scaling", "check_my_reward", my_reward, response_cases
)


def judged(function):
    return lambda problem, words: function(verify(problem, words))


right(
    "conditions", judged(lambda v: (1 if v.answer else 0) + (0.1 if v.ended else 0) + v.chain / 2)
)
right("a product", judged(lambda v: np.dot([1, 0.1, 0.5], [v.answer, v.ended, v.chain])))
wrong("answer alone", judged(lambda v: float(v.answer)))
wrong("no chain", judged(lambda v: v.answer + 0.1 * v.ended))
wrong("no end", judged(lambda v: v.answer + 0.5 * v.chain))
wrong(
    "an end after a right answer alone",
    judged(lambda v: v.answer * (1 + v.ended / 10 + v.chain / 2)),
)
wrong("the first that holds", judged(lambda v: 1 if v.answer else 0.5 if v.chain else v.ended / 10))
wrong("clean for the chain", judged(lambda v: v.answer + 0.1 * v.ended + 0.5 * v.clean))
wrong("the largest", judged(lambda v: max(v.answer, 0.1 * v.ended, 0.5 * v.chain)))
wrong("1 for the chain", judged(lambda v: v.answer + 0.1 * v.ended + v.chain))
wrong(
    "-1 for a wrong answer", judged(lambda v: (1 if v.answer else -1) + 0.1 * v.ended + v.chain / 2)
)
wrong("-0.1 without an end", judged(lambda v: v.answer + (0.1 if v.ended else -0.1) + v.chain / 2))
wrong("pays words", judged(lambda v: v.answer + 0.1 * v.ended + v.chain / 2 + 0.01 * v.length))
wrong("all or nothing", judged(lambda v: 1.6 * (v.answer and v.ended and v.chain)))
wrong(
    "looks for the end's word",
    lambda p, words: my_reward(p, words) + 0.1 * ("<eos>" in words) - 0.1 * verify(p, words).ended,
)
wrong(
    "both: weights of end and chain exchanged",
    judged(lambda v: v.answer + v.ended / 2 + v.chain / 10),
)
