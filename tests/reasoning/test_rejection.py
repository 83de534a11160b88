"""Rejection sampling: what is kept, against an oracle in plain Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.reasoning.corpus import clean_response
from lib.reasoning.measuring import verified
from lib.reasoning.rejection import clean_examples, mix, select, to_example
from lib.reasoning.rewards import right_and_clean, right_answer
from lib.reasoning.task import END, Problem, decode, draw_problems

P, Q = Problem(5, ("+8", "*3")), Problem(1, ("*7",))
LUCKY, MESSY, WRONG = (
    text.split()
    for text in (
        "<think> 5 +8 is 1 then 1 *3 is 3 </think> answer 9 <eos>",
        "5 +8 fait 3 then 3 *3 is 9 answer 9 <eos>",
        "<think> 5 +8 is 3 then 3 *3 is 9 </think> answer 1 <eos>",
    )
)
pairs = st.lists(
    st.sampled_from([(P, LUCKY), (P, MESSY), (P, WRONG), (P, clean_response(P)),
                     (Q, clean_response(Q)), (Q, ["answer", "7", END]), (Q, LUCKY)]),
    max_size=20,
)  # fmt: skip


@given(pairs)
def test_what_is_kept(drawn):
    responses = verified([p for p, _ in drawn], [list(words) for _, words in drawn])
    clean = {(P, tuple(LUCKY)), (P, tuple(clean_response(P))), (Q, tuple(clean_response(Q)))}
    kept = select(responses, right_and_clean)
    expected = [(p, tuple(words)) for p, words in drawn if (p, tuple(words)) in clean]
    assert {(r.problem, tuple(r.words)) for r in kept.responses} == set(expected)
    assert len(kept.responses) == len(set(expected))
    assert kept.accepted == len(expected)
    assert kept.drawn == len(drawn)
    assert kept.wrong_chains == ((P, tuple(LUCKY)) in expected)


def test_the_answer_alone_lets_luck_through():
    responses = verified([P, P, P, Q], [LUCKY, MESSY, WRONG, ["answer", "7", END]])
    kept = select(responses, right_answer)
    assert (kept.right, kept.accepted, kept.wrong_chains) == (3, 3, 2)


def test_examples_learn_the_response_alone():
    example = to_example(P, MESSY)
    assert decode(example.ids[: example.n_prompt]) == P.prompt
    assert decode(example.ids[example.n_prompt :]) == MESSY


@pytest.mark.parametrize(("n", "share", "facts"), [(30, 1 / 3, 10), (8, 0.0, 0), (4, 2.0, 8)])
def test_mix_adds_facts(n, share, facts):
    examples = clean_examples(draw_problems(n, 0))
    mixed = mix(examples, share)
    assert mixed[:n] == examples
    assert len(mixed) == n + facts
    assert all(example.n_prompt == 1 for example in mixed[n:])
