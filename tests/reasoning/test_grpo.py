"""GRPO: its pieces against NumPy, its gradient against REINFORCE worked out on a bandit."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.reasoning.grpo import (
    GRPOConfig,
    clipped_away,
    clipped_objective,
    group_advantages,
    grpo,
    grpo_loss,
    kl_estimate,
    update,
)
from lib.reasoning.rollouts import Rollouts, response_log_p, sample
from lib.reasoning.task import VOCABULARY, draw_problems
from lib.training.optimizer import DivergedError

rewards = st.integers(2, 6).flatmap(
    lambda g: st.lists(
        st.lists(st.floats(-3, 3, width=32), min_size=g, max_size=g), min_size=1, max_size=4
    )
)
ONE = GRPOConfig(1)


# Advantages


@pytest.mark.parity("group-relative advantages", "NumPy, equation of the paper", "1e-4")
@given(rewards)
def test_advantages(values):
    r = np.array(values, dtype=np.float64)
    centered = r - r.mean(1, keepdims=True)
    got = group_advantages(torch.tensor(values))
    expected = centered / (r.std(1, keepdims=True) + 1e-4)
    assert np.allclose(got.numpy(), expected, atol=1e-2, rtol=1e-3)
    plain = group_advantages(torch.tensor(values), normalize_deviation=False)
    assert np.allclose(plain.numpy(), centered, atol=1e-4)


def test_a_group_of_equal_rewards_teaches_nothing():
    assert group_advantages(torch.full((2, 4), 0.7)).abs().max() < 1e-3


# The objective


@given(st.floats(0.0625, 3), st.floats(-2, 2), st.sampled_from([0.1, 0.2, 0.4]))
def test_the_clipped_objective(ratio, advantage, clip):
    log_p = torch.tensor([[np.log(ratio)]], dtype=torch.float64, requires_grad=True)
    a = torch.tensor([advantage], dtype=torch.float64)
    objective = clipped_objective(log_p, torch.zeros_like(log_p), a, clip)
    expected = min(ratio * advantage, float(np.clip(ratio, 1 - clip, 1 + clip)) * advantage)
    assert objective.item() == pytest.approx(expected, abs=1e-9)
    (gradient,) = torch.autograd.grad(objective.sum(), log_p)
    if min(abs(ratio - 1 - clip), abs(ratio - 1 + clip)) > 1e-6:  # at the edge there are two slopes
        moved = (ratio > 1 + clip and advantage > 0) or (ratio < 1 - clip and advantage < 0)
        expected = 0.0 if moved else ratio * advantage
        assert gradient.item() == pytest.approx(expected, abs=1e-6)


@given(
    st.floats(0.0625, 3), st.sampled_from([-2.0, -0.1, 0.4, 1.0]), st.sampled_from([0.1, 0.2, 0.4])
)
def test_what_is_clipped_away_has_no_gradient(ratio, advantage, clip):
    if min(abs(ratio - 1 - clip), abs(ratio - 1 + clip)) < 1e-6:
        return
    log_p = torch.tensor([[np.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old, a = torch.zeros_like(log_p), torch.tensor([advantage], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(clipped_objective(log_p, old, a, clip).sum(), log_p)
    assert clipped_away(log_p.detach(), old, a, clip).item() == (gradient.item() == 0)


def test_the_kl_estimate_is_never_negative_and_unbiased():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
    estimate = kl_estimate(p.log()[None], q.log()[None])[0]
    assert (estimate >= 0).all()
    expected = (p * (p / q).log()).sum().item()  # over all draws, each as often as p says
    assert (p * estimate).sum().item() == pytest.approx(expected, abs=1e-12)


def batch():
    torch.manual_seed(0)
    drawn = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 1, 0, 0, 0]]).bool()
    log_p = torch.where(drawn, -torch.rand(3, 5), 0.0)
    return log_p, torch.tensor([1.0, -0.5, 2.0]), drawn


def test_the_three_ways_to_count_length():
    log_p, advantages, drawn = batch()
    lengths, a = np.array([3, 3, 1]), advantages.numpy()  # ratios are all 1
    expected = {
        "response": -a.sum() / 3,
        "constant": -(a * lengths).sum() / 5 / 3,
        "token": -(a * lengths).sum() / lengths.sum(),
    }
    for way, value in expected.items():
        config = GRPOConfig(1, normalize_length=way)
        loss = grpo_loss(log_p, log_p, advantages, drawn, config, constant=5)
        assert loss.item() == pytest.approx(value, abs=1e-6)


def test_tokens_that_were_not_drawn_have_no_gradient():
    log_p, advantages, drawn = batch()
    log_p = log_p.clone().requires_grad_()
    config = GRPOConfig(1, kl_weight=0.5)
    loss = grpo_loss(log_p, log_p.detach(), advantages, drawn, config, log_p.detach() - 0.3)
    (gradient,) = torch.autograd.grad(loss, log_p)
    assert (gradient[~drawn] == 0).all()
    assert (gradient[drawn] != 0).all()


# The gradient, on a bandit


class Bandit(torch.nn.Module):
    """A "language model" whose next token never depends on anything: three arms to pull."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))

    def forward(self, ids):
        return self.logits.expand(*ids.shape, 3)


@pytest.mark.parity("GRPO gradient, one on-policy step", "REINFORCE on a bandit, NumPy", "1e-6")
@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_is_reinforce_with_the_group_as_baseline(normalize):
    model, pay = Bandit(), np.array([1.0, 0.0, 0.4])
    arms = torch.tensor([0, 2, 1, 0, 1, 1, 2, 0])  # two groups of four pulls
    ids = torch.stack([torch.zeros_like(arms), arms], dim=1)
    drawn = torch.tensor([[False, True]]).expand(8, 2)
    rollouts = Rollouts(ids, drawn, torch.zeros(8, 2))
    log_p = response_log_p(model, rollouts)
    r = pay[arms.numpy()].reshape(2, 4)
    advantages = group_advantages(torch.tensor(r, dtype=torch.float32), normalize).flatten()
    loss = grpo_loss(log_p, log_p.detach(), advantages, drawn, ONE)
    (gradient,) = torch.autograd.grad(loss, model.logits)

    p = np.exp([0.3, -0.2, 0.5]) / np.exp([0.3, -0.2, 0.5]).sum()
    a = r - r.mean(1, keepdims=True)
    if normalize:
        a = a / (r.std(1, keepdims=True) + 1e-4)
    score = np.eye(3)[arms.numpy()] - p  # d log p(arm) / d logits
    expected = -(a.reshape(-1, 1) * score).mean(0)
    np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-6)


def test_steps_on_a_bandit_find_the_best_arm():
    model, pay = Bandit(), torch.tensor([0.2, 0.0, 1.0])
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        p = model.logits.softmax(-1).detach()
        arms = torch.multinomial(p, 32, replacement=True, generator=generator)
        ids = torch.stack([torch.zeros_like(arms), arms], dim=1)
        drawn = torch.tensor([[False, True]]).expand(32, 2)
        old = torch.stack([torch.zeros(32), p.log()[arms]], dim=1)
        advantages = group_advantages(pay[arms].view(4, 8)).flatten()
        update(model, optimizer, Rollouts(ids, drawn, old), advantages, GRPOConfig(1, length=2))
    assert model.logits.softmax(-1)[2] > 0.9


# The loop


def small_model():
    torch.manual_seed(0)
    return LanguageModel(ModelConfig(len(VOCABULARY), 24, 16, 1, 2, 32))


def draw(n, step):
    return draw_problems(n, seed=step, least=1, most=2)


def test_grpo_learns_what_is_rewarded():
    def says_seven(problem, words):
        return words.count("7") / len(words)

    model = small_model()
    history = grpo(model, draw, says_seven, GRPOConfig(25, 8, 8, learning_rate=2e-2, length=16))
    assert [row["step"] for row in history] == list(range(25))
    assert history[-1]["reward"] > history[0]["reward"] + 0.3


def test_what_a_step_logs():
    """Entropy is the model's own, KL grows from 0, clipping waits for a second update."""

    def history(updates, length=24):
        reward = lambda problem, words: words.count("7") / len(words)  # noqa: E731
        config = GRPOConfig(4, 8, 8, learning_rate=2e-2, updates=updates, length=length)
        return grpo(small_model(), draw, reward, config, reference=small_model())

    once, often = history(1), history(4)
    assert once[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert once[-1]["kl"] > 1e-3
    assert [row["clipped"] for row in once] == [0] * 4
    assert 0 < often[-1]["clipped"] < 1
    # At the start all of the vocabulary is about as likely, in every place.
    assert once[0]["entropy"] == pytest.approx(math.log(len(VOCABULARY)), rel=0.05)


def test_without_a_difference_in_reward_nothing_moves():
    model = small_model()
    before = copy.deepcopy(model.state_dict())
    history = grpo(model, draw, lambda problem, words: 0.7, GRPOConfig(2, 4, 4))
    assert all(row["signal"] == row["clipped"] == 0 for row in history)
    assert "kl" not in history[0]
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


@pytest.mark.parametrize("way", ["response", "constant", "token"])
def test_rows_left_out_do_not_change_the_gradient(way):
    """Responses without an advantage are dropped for speed only."""
    config = GRPOConfig(1, normalize_length=way)
    model = small_model()
    rollouts = sample(model, [[7, 8], [9, 10], [11, 12]] * 4)
    advantages = torch.tensor([1.0, 0.0, -1.0] * 4)
    log_p = response_log_p(model, rollouts)
    whole = grpo_loss(log_p, rollouts.log_p, advantages, rollouts.drawn, config, constant=9)
    part = rollouts.rows(advantages != 0)
    log_p = response_log_p(model, part)
    kept = grpo_loss(
        log_p, part.log_p, advantages[advantages != 0], part.drawn, config, None, 12, 9,
        int(rollouts.drawn.sum()),
    )  # fmt: skip
    weights = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad(whole, weights), torch.autograd.grad(kept, weights), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_kl_term_holds_the_model_near_its_reference():
    def distance(kl_weight):
        model, reference = small_model(), small_model()
        config = GRPOConfig(12, 4, 8, learning_rate=1e-2, kl_weight=kl_weight, updates=2, length=12)
        reward = lambda problem, words: words.count("7") / len(words)  # noqa: E731
        grpo(model, draw, reward, config, reference=reference)
        ids = torch.tensor([[7, 8, 9]])
        p, q = model(ids).log_softmax(-1), reference(ids).log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1).mean().item()

    assert distance(5.0) < distance(0.0) / 2


@pytest.mark.parametrize("way", ["response", "constant", "token"])
def test_an_update_divides_by_the_whole_batch(way):
    """A step of `update` moves the weights as the gradient over all rows says."""
    config = GRPOConfig(1, normalize_length=way, max_gradient_norm=math.inf)
    rollouts = sample(small_model(), [[7, 8], [9, 10], [11, 12]] * 4)
    advantages = torch.tensor([1.0, 0.0, -1.0] * 4)
    model, by_hand = small_model(), small_model()
    update(model, torch.optim.SGD(model.parameters(), 1.0), rollouts, advantages, config)
    log_p = response_log_p(by_hand, rollouts)
    loss = grpo_loss(log_p, rollouts.log_p, advantages, rollouts.drawn, config, constant=24)
    loss.backward()
    for moved, weight in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(moved, weight - weight.grad, atol=1e-6, rtol=1e-4)


def test_a_loss_that_is_not_finite_stops():
    model = small_model()
    with torch.no_grad():
        model.blocks[0].feedforward.down.weight.fill_(math.nan)
    before = [weight.clone() for weight in model.parameters()]
    rollouts = Rollouts(torch.ones(2, 3).long(), torch.ones(2, 3).bool(), torch.zeros(2, 3))
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    with pytest.raises(DivergedError, match=r"loss is nan .* learning rate of 1"):
        update(model, optimizer, rollouts, torch.tensor([1.0, -1.0]), ONE)
    for a, b in zip(before, model.parameters(), strict=True):
        assert torch.equal(a, b) or a.isnan().all()


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": 1}, "group must be an integer at least 2, got 1"),
        ({"clip": 1.5}, r"clip must be in \(0, 1\), got 1.5"),
        ({"temperature": 0}, "temperature must be above 0, got 0"),
        ({"temperature": math.nan}, "temperature must be above 0, got nan"),
        ({"kl_weight": -1.0}, "kl_weight must be at least 0, got -1.0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0, got -1.0"),
        ({"learning_rate": "1"}, "learning_rate must be above 0, got '1'"),
        ({"length": 0}, "length must be an integer at least 2, got 0"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm must be above 0, got 0.0"),
        ({"normalize_deviation": "false"}, "normalize_deviation must be one of True, False"),
        ({"normalize_length": "word"}, "normalize_length must be one of response, constant, to"),
        ({"updates": True}, "updates must be an integer at least 1, got True"),
        ({"seed": -1}, "seed must be an integer at least 0"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        GRPOConfig(**{"steps": 1} | changes)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_p": torch.zeros(3, 4)}, r"log_p has shape \(3, 4\), drawn \(3, 5\)"),
        ({"advantages": torch.ones(2)}, r"an advantage for each of 3 rows, got shape \(2,\)"),
        ({"drawn": torch.ones(3, 5)}, r"drawn must be True and False .* got torch.float32"),
        ({"n_responses": 2}, "n_responses must be an integer at least 3, got 2"),
        ({"n_tokens": 6}, "n_tokens must be an integer at least 7, got 6"),
        ({"constant": 0}, "constant must be an integer at least 1, got 0"),
        ({"n_responses": 9}, "6 of 9 responses were left out: .* needs n_tokens"),
    ],
)
def test_rows_that_do_not_match(changes, message):
    log_p, advantages, drawn = batch()
    given = dict(log_p=log_p, old_log_p=log_p, advantages=advantages, drawn=drawn)
    with pytest.raises(ValueError, match=message):
        grpo_loss(**given | {"config": GRPOConfig(1, normalize_length="token")} | changes)


def test_bad_input():
    with pytest.raises(ValueError, match=r"the reward of .* must be a finite number, got nan"):
        grpo(small_model(), draw, lambda problem, words: math.nan, GRPOConfig(1))
    with pytest.raises(ValueError, match="kl_weight needs a reference"):
        grpo(small_model(), draw, lambda problem, words: 0.0, GRPOConfig(1, kl_weight=0.1))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_advantages_that_are_no_numbers_are_named(value):
    log_p, drawn = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    advantages = torch.tensor([1.0, value])
    with pytest.raises(ValueError, match="advantages must be finite, got"):
        grpo_loss(log_p, log_p, advantages, drawn, GRPOConfig(steps=1))
