import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import KVCache, ModelConfig
from lib.model.cache import kv_elements_per_token

SHAPE = dict(vocab_size=9, context_length=500, d_model=8, n_layers=2, n_heads=2, d_ff=4)


def numbered(start, count):
    """Keys that carry their own position, so that what a cache returns can be read."""
    positions = torch.arange(start, start + count, dtype=torch.float32)
    return positions.view(1, 1, -1, 1).expand(2, 2, -1, 4)


@given(
    window=st.integers(1, 9),
    sinks=st.integers(0, 4),
    capacity=st.integers(1, 40),
    chunks=st.lists(st.integers(1, 12), min_size=1, max_size=12),
)
def test_a_ring_returns_what_the_window_shows(window, sinks, capacity, chunks):
    cache = KVCache(ModelConfig(**SHAPE, window=window, window_sinks=sinks), 2, capacity)
    for count in chunks:
        if cache.length + count > capacity and window + sinks >= capacity:
            with pytest.raises(ValueError, match="the cache holds"):
                cache.append(0, numbered(cache.length, count), numbered(cache.length, count))
            return
        new = numbered(cache.length, count)
        key, value = cache.append(0, new, 2 * new)
        positions = cache.key_positions(0, count)
        assert torch.equal(key[1, 1, :, 3], positions.float())
        assert torch.equal(value, 2 * key)
        cache.advance(count)
        last = cache.length - 1
        needed = {p for p in range(last + 1) if p < sinks or last - p < window}
        assert needed <= set(positions.tolist())
        if count == 1 and window + sinks < capacity:
            assert needed == set(positions.tolist())


def test_memory_is_bounded_by_the_window():
    full = KVCache(ModelConfig(**SHAPE), 1, 400)
    mixed = KVCache(ModelConfig(**SHAPE, window=(16, None), window_sinks=4), 1, 400)
    assert full.nbytes == 4 * 400 * kv_elements_per_token(ModelConfig(**SHAPE))
    assert mixed.nbytes == full.nbytes // 2 * (1 + 20 / 400)


def test_too_small_a_cache_is_named():
    cache = KVCache(ModelConfig(**SHAPE), 2, 3)
    with pytest.raises(ValueError, match="the cache holds 3 positions, got 4"):
        cache.append(1, numbered(0, 4), numbered(0, 4))


def test_truncate_forgets_the_end():
    cache = KVCache(ModelConfig(**SHAPE, window=(8, None)), 2, 20)
    for layer in (0, 1):
        cache.append(layer, numbered(0, 6), numbered(0, 6))
    cache.advance(6)
    cache.truncate(4)
    for layer in (0, 1):
        key, _ = cache.append(layer, numbered(4, 1), numbered(4, 1))
        assert key[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="length must be between 0 and 4, got 5"):
        cache.truncate(5)


def test_what_a_window_has_dropped_does_not_come_back():
    cache = KVCache(ModelConfig(**SHAPE, window=3), 2, 20)
    cache.append(0, numbered(0, 6), numbered(0, 6))
    cache.advance(6)
    cache.truncate(6)
    with pytest.raises(ValueError, match=r"layer 0 has dropped .* cannot go back from 6 to 5"):
        cache.truncate(5)


@pytest.mark.parametrize("window", [None, 4])
def test_reorder_moves_rows(window):
    cache = KVCache(ModelConfig(**SHAPE, window=window), 2, 20)
    rows = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 2, 6, 4)
    for layer in (0, 1):
        cache.append(layer, rows, rows)
    cache.advance(6)
    cache.reorder(torch.tensor([1, 1]))
    new = torch.zeros(2, 2, 1, 4)
    key, value = cache.append(1, new, new)
    assert (key == 2).sum() == (value == 2).sum() == (3 if window else 6) * 2 * 2 * 4


@pytest.mark.parametrize(
    ("config", "kib"),
    [
        (ModelConfig.gpt2(), 36),
        (ModelConfig.qwen3_0_6b(), 112),
        (ModelConfig.llama3_8b(), 128),
    ],
)
def test_cost_of_a_token_is_that_of_published_models(config, kib):
    assert 2 * kv_elements_per_token(config) == kib * 1024  # two bytes a number
