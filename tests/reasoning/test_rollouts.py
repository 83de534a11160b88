"""Rollouts: the batched sampler against generate, one prompt at a time."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.generation import GenerationConfig, generate
from lib.model import LanguageModel, ModelConfig
from lib.reasoning.rollouts import response_log_p, sample

SIZES = dict(vocab_size=19, context_length=24, d_model=12, n_layers=2, n_heads=2, d_ff=20)
torch.manual_seed(1)
MODELS = {p: LanguageModel(ModelConfig(positions=p, **SIZES)) for p in ("rope", "learned")}
MODELS["windowed"] = LanguageModel(ModelConfig(window=(3, None), window_sinks=1, **SIZES))
for model in MODELS.values():
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)  # so that not all tokens are about equally probable
prompt_lists = st.lists(
    st.lists(st.integers(0, 18), min_size=1, max_size=8), min_size=1, max_size=6
)


@pytest.mark.parity("rollouts of prompts of several lengths", "lib.generation.generate", "same ids")
@pytest.mark.parametrize("positions", MODELS)
@settings(max_examples=8)
@given(prompts=prompt_lists)
def test_greedy_rollouts_are_what_generate_gives(positions, prompts):
    model = MODELS[positions]
    drawn = sample(model, prompts, length=14, temperature=0).responses()
    for prompt, response in zip(prompts, drawn, strict=True):
        config = GenerationConfig(max_new_tokens=14 - len(prompt), do_sample=False)
        alone = generate(model, torch.tensor([prompt]), config).new_ids[0].tolist()
        if 1 in alone:
            alone = alone[: alone.index(1) + 1]
        assert response == alone


@settings(max_examples=8)
@given(prompts=prompt_lists, seed=st.integers(0, 9))
def test_what_comes_back(prompts, seed):
    generator = torch.Generator().manual_seed(seed)
    rollouts = sample(MODELS["rope"], prompts, generator=generator)
    for row, prompt in enumerate(prompts):
        n = len(prompt)
        assert rollouts.ids[row, :n].tolist() == prompt
        assert not rollouts.drawn[row, :n].any()
        response = rollouts.responses()[row]
        assert rollouts.drawn[row].sum() == len(response)
        assert rollouts.ids[row, n : n + len(response)].tolist() == response
        assert 1 not in response[:-1]
        assert response[-1] == 1 or n + len(response) == 24
        assert (rollouts.ids[row, n + len(response) :] == 0).all()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_a_pass_without_cache(temperature):
    model, prompts = MODELS["learned"], [[3, 4, 5], [6], [7, 8, 9, 10, 11]] * 4
    rollouts = sample(model, prompts, temperature=temperature)
    again = response_log_p(model, rollouts, temperature)
    torch.testing.assert_close(rollouts.log_p, again.detach(), atol=1e-4, rtol=1e-4)
    assert (again[~rollouts.drawn] == 0).all()
    row = rollouts.ids[:1, : int(rollouts.drawn[0].nonzero().max()) + 1]
    logits = model(row)[0, :-1] / temperature
    by_hand = -torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="none")[2:]
    torch.testing.assert_close(again[0][rollouts.drawn[0]], by_hand, atol=1e-4, rtol=1e-4)


def test_draws_follow_the_distribution():
    model, n = MODELS["rope"], 4000
    rollouts = sample(model, [[5, 6]] * n, length=3, generator=torch.Generator().manual_seed(0))
    expected = model(torch.tensor([[5, 6]]))[0, -1].softmax(-1).detach() * n
    counts = torch.bincount(rollouts.ids[:, 2], minlength=19).float()
    often = expected > 5
    statistic = ((counts - expected) ** 2 / expected)[often].sum()
    from scipy.stats import chi2

    assert chi2.sf(statistic.item(), int(often.sum()) - 1) > 1e-3


def test_rows_are_cut_to_what_they_need():
    rollouts = sample(MODELS["rope"], [[3, 4], [5], [6, 7, 8]] * 5)
    lengths = [int(mask.nonzero().max()) + 1 for mask in rollouts.drawn]
    shortest = torch.tensor(lengths) == min(lengths)
    part = rollouts.rows(shortest)
    assert part.ids.shape[1] == min(lengths)
    assert len(part.ids) == int(shortest.sum())


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        ([], {}, r"prompts must have 1 \.\. 23 tokens"),
        ([[1], []], {}, r"got 0 \.\. 1"),
        ([[1] * 24], {}, r"got 24 \.\. 24"),
        ([[1]], {"temperature": -1}, "temperature must be at least 0, got -1"),
        ([[1]], {"temperature": float("nan")}, "temperature must be at least 0, got nan"),
        ([[1]], {"length": 0}, r"length must be an integer in \[2, 24\], got 0"),
        ([[1]], {"length": 25}, r"length must be an integer in \[2, 24\], got 25"),
        ([[1], [2, 19]], {}, r"ids must be in 0 \.\. 18, got 2 \.\. 19"),
    ],
)
def test_bad_input(prompts, settings, message):
    with pytest.raises(ValueError, match=message):
        sample(MODELS["rope"], prompts, **settings)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("prompts", ["ab", [["a"]], [[[1], [2]]], [[1.5]], 3, [None], iter([[1]])])
def test_prompts_that_are_no_ids(prompts):
    with pytest.raises(ValueError, match=r"prompt|ids"):
        sample(MODELS["rope"], prompts)


@pytest.mark.usefixtures("as_a_reader")
def test_rollouts_are_checked():
    rollouts = sample(MODELS["rope"], [[1, 2, 3]])
    other = LanguageModel(ModelConfig(**{**SIZES, "vocab_size": 3}))
    with pytest.raises(ValueError, match="ids must be in 0"):
        response_log_p(other, rollouts)
    with pytest.raises(ValueError, match="drawn must cover"):
        response_log_p(MODELS["rope"], replace(rollouts, drawn=rollouts.drawn[:, 1:]))


def test_an_end_that_the_model_cannot_draw_is_named():
    config = ModelConfig(vocab_size=30, context_length=8, d_model=8, n_layers=1, n_heads=1, d_ff=8)
    with pytest.raises(ValueError, match=r"end_id must be an integer in \[0, 29\], got 30"):
        sample(LanguageModel(config), [[1, 2]], end_id=30)
