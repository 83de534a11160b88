"""SFT: what the mask leaves out, and packing against one example at a time."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.reasoning.sft import (
    Example,
    SFTConfig,
    batches,
    chat_example,
    only_last_layers,
    pack,
    packed_hidden,
    sft,
    sft_loss,
)
from lib.tokenization.chat import render_chat

SIZES = dict(vocab_size=19, context_length=16, d_model=12, n_layers=2, n_heads=2, d_ff=20)
MODELS = {
    positions: LanguageModel(ModelConfig(positions=positions, **SIZES)).eval()
    for positions in ("rope", "learned", "sinusoidal", "alibi")
}
GEMMA = LanguageModel(
    ModelConfig(scale_embeddings=True, norm_placement="sandwich", window=(4, None), **SIZES)
).eval()
example_lists = st.lists(
    st.lists(st.integers(0, 18), min_size=2, max_size=16).flatmap(
        lambda ids: st.builds(Example, st.just(ids), st.integers(1, len(ids) - 1))
    ),
    min_size=1,
    max_size=7,
)


def one_by_one(model, examples):
    """The loss without packing, mask or padding: a sum over examples by torch's cross-entropy."""
    total, count = torch.zeros(()), 0
    for example in examples:
        ids = torch.tensor([example.ids])
        surprise = F.cross_entropy(model(ids)[0, :-1], ids[0, 1:], reduction="none")
        total = total + surprise[example.n_prompt - 1 :].sum()
        count += len(example.ids) - example.n_prompt
    return total / count


@pytest.mark.parity("packed SFT loss", "one example at a time, cross_entropy of torch", "1e-5")
@pytest.mark.parametrize("positions", ["rope", "learned", "sinusoidal"])
@settings(max_examples=12)
@given(examples=example_lists)
def test_packing_changes_nothing(positions, examples):
    model = MODELS[positions]
    with torch.no_grad():
        packed = sft_loss(model, pack(examples, 16))
        assert packed.item() == pytest.approx(one_by_one(model, examples).item(), abs=1e-5)


@pytest.mark.parity("packed hidden states, Gemma-like", "one example at a time", "1e-5")
@settings(max_examples=12)
@given(examples=example_lists)
def test_packed_hidden_states_with_scaled_embeddings(examples):
    packed = pack(examples, 40)
    with torch.no_grad():
        hidden = packed_hidden(GEMMA, packed)
        for i, example in enumerate(examples):
            alone = GEMMA.hidden(torch.tensor([example.ids]))[0]
            torch.testing.assert_close(hidden[packed.segments == i], alone, atol=1e-5, rtol=1e-5)


def test_packed_ids_are_checked():
    with pytest.raises(ValueError, match=r"ids must be in 0 \.\. 18, got 1 \.\. 19"):
        packed_hidden(MODELS["rope"], pack([Example([1, 19])], 16))


def test_packed_embeddings_are_dropped_in_training():
    """With blocks that write nothing, the stream is the embedding: about half of it is zero."""
    model = LanguageModel(ModelConfig(dropout=0.5, **SIZES)).train()
    with torch.no_grad():
        for weight in model.blocks.parameters():
            weight.zero_()
    hidden = packed_hidden(model, pack([Example(list(range(16)))] * 9, 16))
    assert 0.4 < (hidden == 0).float().mean().item() < 0.6


def test_packed_gradients_are_those_of_single_examples():
    model = MODELS["rope"]
    examples = [Example([1, 2, 3, 4], 2), Example([5, 6, 7], 1), Example(list(range(9)), 4)]
    weights = list(model.parameters())
    packed = torch.autograd.grad(sft_loss(model, pack(examples, 16)), weights)
    single = torch.autograd.grad(one_by_one(model, examples), weights)
    for a, b in zip(packed, single, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@given(example_lists, st.integers(16, 40))
def test_every_example_is_packed_once(examples, row_length):
    packed = pack(examples, row_length)
    for i, example in enumerate(examples):
        there = packed.segments == i
        assert packed.ids[there].tolist() == list(example.ids)
        assert packed.positions[there].tolist() == list(range(len(example.ids)))
        n = example.n_prompt
        assert packed.learned[there].tolist() == [False] * n + [True] * (len(example.ids) - n)
    assert not packed.learned[packed.segments < 0].any()
    assert int((packed.segments >= 0).sum()) == sum(len(example.ids) for example in examples)


def test_the_prompt_has_no_gradient_of_its_own():
    """Changing what a prompt's tokens would be scored as changes nothing."""
    packed = pack([Example([1, 2, 3, 4, 5], 3)], 16)
    assert packed.learned.tolist() == [[False, False, False, True, True]]
    hidden = packed_hidden(MODELS["rope"], packed)
    assert hidden.shape == (1, 5, 12)


def test_sft_learns_the_response_and_not_the_prompt():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SIZES))
    examples = [Example([a, b, (a + b) % 10], 2) for a in range(10) for b in range(4)]
    before = one_by_one(model, examples).item()
    losses = sft(model, examples, SFTConfig(150, 16, learning_rate=1e-2))
    assert len(losses) == 150
    assert losses[0] == pytest.approx(before, abs=0.3)
    assert one_by_one(model, examples).item() < 0.3 * before
    asked = [Example([a, b], 1) for a in range(10) for b in range(4)]
    assert one_by_one(model, asked).item() > 1.0  # guessing b right would be ln 4 = 1.39


def test_frozen_weights_stay():
    model = LanguageModel(ModelConfig(**SIZES))
    n_weights = only_last_layers(model, 1)
    assert n_weights == sum(weight.numel() for weight in model.blocks[-1].parameters())
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    sft(model, [Example([1, 2, 3], 1)], SFTConfig(2))
    moved = {n for n, weight in model.named_parameters() if not torch.equal(weight, before[n])}
    assert moved
    assert all(name.startswith("blocks.1.") for name in moved)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 12))
def test_each_pass_sees_each_example_once(n, batch_size, steps):
    examples = [Example([i, i], 1) for i in range(n)]
    config = SFTConfig(steps, batch_size)
    seen = [example.ids[0] for batch in batches(examples, config) for example in batch]
    assert len(seen) == steps * batch_size
    for begin in range(0, len(seen) - n + 1, n):
        assert sorted(seen[begin : begin + n]) == list(range(n))


def test_on_step_is_told_each_loss():
    told = []
    losses = sft(
        MODELS["learned"],
        [Example([1, 2], 1)],
        SFTConfig(3),
        lambda step, x: told.append((step, x)),
    )
    assert told == list(enumerate(losses))


def test_bad_input():
    with pytest.raises(ValueError, match=r"n_prompt must be in 1 \.\. 1, .* got 2"):
        Example([1, 2], 2)
    with pytest.raises(ValueError, match="an example has 4 tokens, a row only 3"):
        pack([Example([1, 2, 3, 4], 1)], 3)
    with pytest.raises(ValueError, match="nothing to pack"):
        pack([], 3)
    with pytest.raises(ValueError, match="nothing to learn"):
        sft(MODELS["rope"], [], SFTConfig(1))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        SFTConfig(0)
    with pytest.raises(ValueError, match=r"n_layers must be in 1 \.\. 2, got 3"):
        only_last_layers(MODELS["rope"], 3)


def test_chat_example_of_smollm2(smollm2):
    _, tokenizer = smollm2
    example = chat_example(tokenizer, "What is 5 + 8?", "13")
    asked = tokenizer.decode(example.ids[: example.n_prompt])
    said = tokenizer.decode(example.ids[example.n_prompt :])
    question = [{"role": "user", "content": "What is 5 + 8?"}]
    assert asked == render_chat(tokenizer.chat_template, question)
    assert asked.endswith("<|im_start|>assistant\n")
    assert said == "13<|im_end|>"
