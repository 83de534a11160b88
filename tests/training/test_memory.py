"""Recomputed activations: the same gradients, whatever the segments, from fewer saved tensors."""

import copy
import itertools

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib import scaling
from lib.model import LanguageModel, ModelConfig
from lib.training import next_token_loss
from lib.training.memory import recomputed_activations

CONFIG = ModelConfig.smollm2_135m(
    vocab_size=97, context_length=64, d_model=48, n_layers=5, n_heads=6, n_kv_heads=2, d_ff=80
)


def gradients(model, windows, **options):
    model.zero_grad()
    torch.manual_seed(1)  # dropout draws the same again
    with recomputed_activations(model, **options):
        next_token_loss(model, windows).backward()
    return [weight.grad for weight in model.parameters()]


@pytest.mark.parametrize("segments", [None, 1, 2, 3, 5])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_same_gradients(segments, dropout):
    model = LanguageModel(CONFIG.replace(dropout=dropout))
    windows = torch.randint(97, (2, 33))
    expected = copy.deepcopy(gradients(model, windows, enabled=False))
    got = gradients(model, windows, segments=segments)
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(a, b)
    assert all("forward" not in vars(block) for block in model.blocks)


@pytest.mark.parametrize("segments", [None, 1, 2, 5])
def test_one_more_forward_pass_of_the_blocks(segments):
    """It stops early: nothing needs the result of a segment's last product."""
    model, windows = LanguageModel(CONFIG), torch.randint(97, (2, 33))
    with (
        sdpa_kernel([SDPBackend.MATH]),
        recomputed_activations(model, segments=segments),
        FlopCounterMode(display=False) as counter,
    ):
        next_token_loss(model, windows).backward()
    step = scaling.forward_flops(CONFIG, 32, 2) + scaling.backward_flops(CONFIG, 32, 2)
    more = counter.get_total_flops() - step
    last_products = 2 * 64 * CONFIG.d_ff * CONFIG.d_model * (segments or 5)
    assert more == scaling.recomputation_flops(CONFIG, 32, 2) - last_products


def test_segments_are_as_equal_as_can_be():
    model, seen = LanguageModel(CONFIG), []
    for block in model.blocks:
        plain = block.forward
        block.forward = lambda *args, plain=plain: seen.append(plain) or plain(*args)
    with recomputed_activations(model, segments=2):
        groups = [block.forward.args[1] for block in model.blocks if hasattr(block.forward, "args")]
    assert [len(group) for group in groups] == [2, 3]
    assert len(set(map(id, itertools.chain(*groups)))) == 5


@pytest.mark.parametrize("segments", [0, 6])
def test_bad_segments(segments):
    model = LanguageModel(CONFIG)
    message = rf"of 5 layers\) must be an integer in \[1, 5\], got {segments}"
    with pytest.raises(ValueError, match=message), recomputed_activations(model, segments=segments):
        pass
