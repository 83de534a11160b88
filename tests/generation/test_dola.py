"""DoLa equals an older release of transformers; the paper's divergence equals SciPy's."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from lib.generation import GenerationConfig, generate
from lib.generation.dola import candidate_layers, contrast_layers, layer_divergence, stream_at_end
from lib.generation.filters import min_p
from lib.model import KVCache
from tests.generation.references.make_references import N_NEW, PATH, prompts

OLD = json.loads(PATH.read_text())


@pytest.mark.parity("DoLa", "transformers 4.49 generate", "identical")
@pytest.mark.parametrize("case", range(len(OLD["dola"])))
def test_dola_equals_old_transformers(old_model, case):
    ids, mask = prompts()
    expected = OLD["dola"][case]
    layers = expected["layers"]
    layers = layers if isinstance(layers, str) else tuple(layers)
    config = GenerationConfig(max_new_tokens=N_NEW, dola_layers=layers)
    for row, keep, theirs in zip(ids, mask.bool(), expected["sequences"], strict=True):
        assert generate(old_model, row[keep][None], config).ids[0].tolist() == theirs


def test_a_row_does_not_depend_on_its_neighbors(old_model):
    ids, mask = prompts()
    config = GenerationConfig(max_new_tokens=8, dola_layers="low")
    together = generate(old_model, ids, config, mask.bool()).new_ids
    for row, keep, new in zip(ids, mask.bool(), together, strict=True):
        assert torch.equal(generate(old_model, row[keep][None], config).new_ids[0], new)


@pytest.mark.parity("Jensen-Shannon divergence of layers", "scipy jensenshannon", "1e-4")
@given(st.integers(0, 500), st.integers(2, 9))
def test_divergence_equals_scipy(seed, n):
    torch.manual_seed(seed)
    last, early = torch.randn(2, n) * 3, torch.randn(4, 2, n) * 3
    found = layer_divergence(last, early)
    for layer in range(4):
        for row in range(2):
            p, q = last[row].softmax(-1).numpy(), early[layer, row].softmax(-1).numpy()
            expected = jensenshannon(p, q) ** 2  # SciPy returns its square root
            assert found[layer, row].item() == pytest.approx(expected, abs=1e-4)
    assert (found <= math.log(2) + 1e-5).all()


def test_the_stream_is_the_models(pair):
    model, _ = pair
    ids = torch.randint(97, (2, 9))
    whole = model.residual_stream(ids)[:, :, -1]
    torch.testing.assert_close(stream_at_end(model, ids).detach(), whole)
    cache = KVCache(model.config, 2, 9)
    stream_at_end(model, ids[:, :6], cache=cache)
    stepped = stream_at_end(model, ids[:, 6:], cache=cache).detach()
    torch.testing.assert_close(stepped, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("as_released", [True, False])
def test_only_plausible_tokens_remain(pair, as_released):
    model, _ = pair
    stream = model.residual_stream(torch.randint(97, (3, 6)))[:, :, -1]
    logits, layer = contrast_layers(model, stream, (0, 1, 2), as_released)
    last = model.unembed(stream[-1])
    assert torch.equal(logits > -math.inf, min_p(last, 0.1) > -math.inf)
    assert set(layer.tolist()) <= {0, 1, 2}


def test_candidate_layers(pair):
    model, _ = pair
    for depth, tied, low, high in (
        (30, True, [2, 4, 6, 8, 10, 12, 14], list(range(15, 30, 2))),
        (6, False, [0, 2], [3, 5]),
        (4, True, [2], [2]),
        (48, False, list(range(0, 20, 2)), list(range(28, 48, 2))),
    ):
        model.config, kept = model.config.replace(n_layers=depth, tie_embeddings=tied), model.config
        try:
            assert candidate_layers(model, "low") == low
            assert candidate_layers(model, "high") == high
        finally:
            model.config = kept
    with pytest.raises(ValueError, match=r"must be \"low\", \"high\" or layers, got 'mid'"):
        generate(model, torch.tensor([[1]]), GenerationConfig(dola_layers="mid", max_new_tokens=1))
    with pytest.raises(ValueError, match=r"dola_layers must be in 0 \.\. 2, got \(3,\)"):
        generate(model, torch.tensor([[1]]), GenerationConfig(dola_layers=(3,), max_new_tokens=1))
