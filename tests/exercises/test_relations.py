"""What is told of an argument that does not matter to an answer is true."""

import math

import pytest
import torch

from lib.exercises.attention import check_causal_weights
from lib.exercises.capstones_generation import check_my_sampler, sampler
from lib.exercises.checking import Exercise

UNUSED = "It does not use `{}`: the result stays the same when `{}` changes."


def raised(values, limit):
    return values.clamp(min=limit)


LIMIT = Exercise(
    title="No less than a limit",
    reference=raised,
    cases=lambda seed: [(torch.linspace(-3, n, 2 * n) + seed, n / 2) for n in range(2, 7)],
)


def told(exercise, answer):
    return exercise.report(answer).message


def test_an_argument_that_is_never_looked_at_is_told():
    assert told(LIMIT, lambda values, limit: raised(values, 0.4)) == UNUSED.format("limit", "limit")
    assert told(LIMIT, lambda values, limit: torch.arange(len(values)) * limit) == UNUSED.format(
        "values", "values"
    )


@pytest.mark.parametrize(
    "answer",
    [
        lambda values, limit: raised(values, -1.6 if limit < 100 else 1.0),
        lambda values, limit: raised(values, -1.6 + 0 * math.log(limit)),
        lambda values, limit: raised(values, 0.4 if limit else 1.0),
        lambda values, limit: raised(values, 0.4 if limit != 7 else 1.0),
    ],
)
def test_an_argument_that_is_looked_at_is_not_called_unused(answer):
    assert "does not use" not in told(LIMIT, answer)


def test_results_with_nan_do_not_tell_what_is_unused():
    def turned(scores):
        seen = torch.ones_like(scores).tril(scores.shape[1] - scores.shape[0]).bool()
        return (2 * scores).masked_fill(seen, -math.inf).softmax(-1)

    assert told(check_causal_weights, turned) == "A query gives weight to a key that comes later."
    assert "does not use" not in told(LIMIT, lambda values, limit: values * math.nan)


def sampled(logits, temperature, p, u, *, n_more=0, draw=None):
    """The capstone's answer with what a reader might change in it."""
    q = (logits.double() / temperature).softmax(-1)
    ranked, order = q.sort(descending=True)
    n = min(int((ranked.cumsum(0) < p).sum()) + 1 + n_more, len(q))
    left = torch.zeros_like(q)
    left[order[:n]] = ranked[:n]
    left = left / left.sum()
    return draw(left, order, u) if draw else min(int((left.cumsum(0) <= u).sum()), len(q) - 1)


def by_rank(left, order, u):
    return int(order[min(int((left[order].cumsum(0) <= u).sum()), len(left) - 1)])


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"n_more": 1}, "It keeps one token more than p needs."),
        ({"draw": by_rank}, "It goes from the most probable token on"),
        (
            {"draw": lambda q, order, u: max(int((q.cumsum(0) <= u).sum()) - 1, 0)},
            "It takes the token before.",
        ),
        ({"draw": lambda q, order, u: int(torch.multinomial(q, 1))}, UNUSED.format("u", "u")),
    ],
)
def test_slips_of_a_sampler_are_named(slip, sentence):
    message = told(check_my_sampler, lambda z, t, p, u: sampled(z, t, p, u, **slip))
    assert sentence in message


def test_the_sampler_of_these_tests_is_right_without_a_slip():
    for case in check_my_sampler.cases(3):
        assert sampled(*case) == sampler(*case)


def test_an_answer_that_remembers_by_shape_is_told():
    seen = {}

    def remembers(values, limit):
        return seen.setdefault(len(values), raised(values, limit))

    assert told(LIMIT, remembers).startswith("It gives the result of an earlier input again")


def test_an_answer_that_is_right_once_is_told():
    calls = []

    def tires(values, limit):
        calls.append(limit)
        return raised(values, limit) if len(calls) < 4 else torch.zeros(len(values))

    assert told(LIMIT, tires).startswith("Called again with the same arguments")


def test_what_holds_on_some_inputs_is_not_said_of_all():
    def nothing_kept(scores):
        weights = scores.softmax(-1).tril(scores.shape[1] - scores.shape[0])
        return weights * 0 if len(scores) == 1 else weights / weights.sum(-1, keepdim=True) ** 2

    assert "Nothing is kept" not in told(check_causal_weights, nothing_kept)
