"""Beam search equals transformers in sequences and scores; groups equal an older release."""

import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.generation import GenerationConfig, generate, stream_text
from lib.generation.beam import beam_steps, push_apart, rank
from lib.generation.measures import surprise
from lib.generation.voting import sample_many
from lib.tokenization import BPETokenizer
from tests.generation.references.make_references import N_NEW, PATH, prompts

OLD = json.loads(PATH.read_text())


@pytest.mark.parity("beam search: sequences, batched and padded", "transformers generate", "identical")  # fmt: skip  # noqa: E501
@pytest.mark.parity("beam search: scores", "transformers generate", "1e-4")
@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.7, 2.0])
@pytest.mark.parametrize("stops", [None, (5,), (3, 9, 50, 70)])
def test_beam_search_equals_transformers(pair, early_stopping, length_penalty, stops):
    model, reference = pair
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, :3] = False
    for seed, num_beams in ((0, 2), (1, 5)):
        torch.manual_seed(seed)
        ids = torch.randint(1, 97, (3, 8))
        settings = dict(
            num_beams=num_beams,
            early_stopping=early_stopping,
            length_penalty=length_penalty,
            num_return_sequences=2,
            max_new_tokens=12,
            pad_token_id=1,
        )
        theirs = reference.generate(
            ids,
            attention_mask=mask.long(),
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            eos_token_id=None if stops is None else list(stops),
            **settings,
        )
        ours = generate(model, ids, GenerationConfig(**settings, eos_token_id=stops), mask)
        assert torch.equal(ours.ids, theirs.sequences)
        torch.testing.assert_close(ours.scores, theirs.sequences_scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parity("beam search with penalties", "transformers generate", "identical")
def test_beam_search_with_penalties_equals_transformers(pair):
    model, reference = pair
    ids = torch.randint(1, 97, (4, 8))
    settings = dict(
        num_beams=3, max_new_tokens=14, repetition_penalty=1.4, no_repeat_ngram_size=2,
        bad_words_ids=[[5], [7, 8]], min_new_tokens=6, eos_token_id=86, pad_token_id=1,
    )  # fmt: skip
    theirs = reference.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, **settings
    )
    assert torch.equal(generate(model, ids, GenerationConfig(**settings)).ids, theirs)


@pytest.mark.parity("diverse (group) beam search: sequences", "transformers 4.49 generate", "identical")  # fmt: skip  # noqa: E501
@pytest.mark.parity("diverse (group) beam search: scores", "transformers 4.49 generate", "1e-4")
@pytest.mark.parametrize("case", range(len(OLD["groups"])))
def test_groups_equal_old_transformers(old_model, case):
    ids, mask = prompts()
    expected = OLD["groups"][case]
    config = GenerationConfig(
        max_new_tokens=N_NEW, num_return_sequences=2, pad_token_id=0, **expected["setting"]
    )
    rows = expected["rows"]
    ours = generate(old_model, ids[rows], config, mask.bool()[rows])
    assert ours.ids.tolist() == expected["sequences"]
    torch.testing.assert_close(ours.scores, torch.tensor(expected["scores"]), atol=1e-4, rtol=1e-4)


@pytest.mark.parity("diverse beam search that stops early", "transformers 4.49 generate", "identical")  # fmt: skip  # noqa: E501
def test_groups_that_stop_equal_old_transformers(old_model):
    for expected in OLD["stopping"]:
        config = GenerationConfig(
            max_new_tokens=N_NEW, num_return_sequences=2, pad_token_id=0, num_beams=4,
            num_beam_groups=2, diversity_penalty=0.5, early_stopping=True,
            eos_token_id=expected["eos_token_id"],
        )  # fmt: skip
        ours = generate(old_model, torch.tensor([expected["prompt"]]), config)
        assert ours.ids.tolist() == expected["sequences"]
        torch.testing.assert_close(ours.scores, torch.tensor(expected["scores"]))


def test_with_all_beams_it_finds_the_most_probable_text(tiny):
    """As many beams as there are texts make the search exhaustive."""
    ids = torch.tensor([[1, 2]])
    texts = torch.tensor(list(itertools.product(range(6), repeat=3)))
    log_p = -surprise(tiny, torch.cat([ids.expand(len(texts), -1), texts], dim=1), 2).sum(-1)
    config = GenerationConfig(num_beams=6, max_new_tokens=3, length_penalty=0.0)
    few = generate(tiny, ids, config)
    wide = generate(tiny, ids, GenerationConfig(num_beams=36, max_new_tokens=3, length_penalty=0.0))
    assert wide.new_ids[0].tolist() == texts[log_p.argmax()].tolist()
    torch.testing.assert_close(wide.scores[0], log_p.max())
    assert few.scores[0] <= wide.scores[0] + 1e-5


@settings(max_examples=25)
@given(st.integers(0, 200), st.integers(2, 5))
def test_scores_are_log_probabilities_of_the_text(tiny, seed, num_beams):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, (2, 3), generator=generator)
    config = GenerationConfig(
        num_beams=num_beams, num_return_sequences=2, max_new_tokens=5, eos_token_id=0,
        length_penalty=0.5, early_stopping="never",
    )  # fmt: skip
    out = generate(tiny, ids, config)
    for row, score in zip(out.ids, out.scores, strict=True):
        new = row[3:].tolist()
        length = new.index(0) + 1 if 0 in new else len(new)
        total = -surprise(tiny, row[None, : 3 + length], 3).sum()
        assert score.item() == pytest.approx(total.item() / length**0.5, abs=1e-4)
    ordered = out.scores.reshape(2, 2)
    assert (ordered[:, 0] >= ordered[:, 1]).all()


def test_steps_show_what_the_search_did(pair):
    model, _ = pair
    ids = torch.randint(1, 97, (2, 5))
    config = GenerationConfig(num_beams=3, max_new_tokens=6, eos_token_id=5)
    before = None
    for step in beam_steps(model, ids, config):
        for row, candidates in enumerate(step.candidates):
            for c in candidates:
                assert (c.fate == "runs") == (c.beam is not None)
                if c.beam is not None:
                    assert step.ids[row, c.beam, -1] == c.token
                    assert step.log_p[row, c.beam].item() == pytest.approx(c.log_p)
                    if before is not None:
                        assert torch.equal(step.ids[row, c.beam, :-1], before.ids[row, c.parent])
        before = step


@given(st.lists(st.integers(0, 5), max_size=6), st.floats(0, 3))
def test_push_apart_counts(taken, penalty):
    log_p = torch.zeros(2, 6)
    expected = torch.tensor([[-penalty * taken.count(i) for i in range(6)]] * 2)
    torch.testing.assert_close(push_apart(log_p, taken, penalty), expected)


def test_rank_leaves_out_what_cannot_be():
    log_p = torch.tensor([[-1.0, -math.inf, -3.0], [-2.0, -math.inf, -math.inf]])
    assert rank(log_p, 6) == [(0, 0, -1.0), (1, 0, -2.0), (0, 2, -3.0)]


def test_hostile_settings_are_named(tiny):
    ids = torch.tensor([[1, 2]])
    broken = GenerationConfig(num_beams=2, max_new_tokens=2)
    weight = tiny.head.weight
    with torch.no_grad():
        kept = weight.clone()
        weight[:, 0] = float("nan")
    try:
        with pytest.raises(ValueError, match="hold NaN"):
            generate(tiny, ids, broken)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    everything = [[i] for i in range(6)]
    config = GenerationConfig(num_beams=2, max_new_tokens=2, bad_words_ids=everything)
    with pytest.raises(ValueError, match="no token is left"):
        generate(tiny, ids, config)
    only = GenerationConfig(
        num_beams=4, num_return_sequences=4, max_new_tokens=1, bad_words_ids=everything[2:]
    )
    with pytest.raises(ValueError, match="has 2 possible continuations, num_return_sequences asks"):
        generate(tiny, ids, only)
    with pytest.raises(ValueError, match="at least one token"):
        generate(tiny, torch.empty(1, 0, dtype=torch.long), broken)
    with pytest.raises(ValueError, match="the context has"):
        generate(tiny, ids, GenerationConfig(num_beams=2, max_new_tokens=100))


def test_other_ways_say_that_they_do_not_search(tiny):
    tokenizer = BPETokenizer.train("abc" * 9, 260)
    with pytest.raises(ValueError, match="use generate, not a stream"):
        next(stream_text(tiny, tokenizer, "a", GenerationConfig(num_beams=2)))
    settings = GenerationConfig(max_new_tokens=2, do_sample=True, dola_layers="low")
    with pytest.raises(ValueError, match="without dola_layers"):
        sample_many(tiny, torch.tensor([[1]]), 2, settings)


def test_more_beams_than_tokens(tiny):
    out = generate(tiny, torch.tensor([[1]]), GenerationConfig(num_beams=20, max_new_tokens=2))
    assert out.new_ids.shape == (1, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 0}, "num_beams must be an integer at least 1, got 0"),
        ({"num_beams": 2, "do_sample": True}, "num_beams searches and does not draw"),
        ({"num_beams": 2, "penalty_alpha": 0.6, "top_k": 4}, "choose one way to decode"),
        ({"dola_layers": "low", "penalty_alpha": 0.6, "top_k": 4}, "choose one way to decode"),
        ({"length_penalty": 2.0}, "length_penalty: no effect without num_beams"),
        ({"num_beams": 2, "early_stopping": "always"}, "one of never, False, True, got 'always'"),
        ({"num_return_sequences": 2}, "num_return_sequences must be at most num_beams, got 2 > 1"),
        ({"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 1.0}, "multiple of num_beam"),
        ({"num_beams": 4, "num_beam_groups": 2}, "need each other"),
        ({"num_beams": 4, "diversity_penalty": 0.1}, "need each other"),
        ({"num_beams": 2, "use_cache": False}, "num_beams needs use_cache=True"),
        ({"penalty_alpha": 0.6}, "penalty_alpha chooses among top_k >= 2 tokens, got 0"),
        ({"penalty_alpha": 1.6, "top_k": 4}, r"penalty_alpha must be in \[0, 1\], got 1\.6"),
        ({"num_beams": 2, "top_p": 0.5}, "top_p: no effect without do_sample"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)
