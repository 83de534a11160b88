from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.training.batches import Batches, split, windows_in_order

sizes = st.tuples(st.integers(9, 400), st.integers(1, 8), st.integers(1, 7), st.integers(0, 5))


def all_sequences(batches, passes):
    count = passes * batches.windows
    rows = [batches.step(s) for s in range(-(-count // batches.batch_size))]
    return torch.cat(rows)[:count]


@given(sizes)
def test_each_token_is_predicted_once_a_pass(size):
    length, context, batch, seed = size
    batches = Batches(np.arange(length), context, batch, seed)
    for rows in all_sequences(batches, 3).split(batches.windows):
        targets = Counter(rows[:, 1:].flatten().tolist())
        assert set(targets.values()) == {1}
        numbers = sorted(targets)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) >= length - 1 - 2 * context or batches.windows == 1
        assert (rows[:, 1:] == rows[:, :-1] + 1).all()


@given(sizes, st.integers(1, 4))
def test_processes_share_a_step(size, count):
    length, context, batch, seed = size
    batches = Batches(torch.arange(length), context, batch * count, seed)
    whole = batches.step(3)
    parts = [batches.step(3, slice(rank, None, count)) for rank in range(count)]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), whole)


def test_passes_and_seeds_differ():
    first, again, other = (Batches(np.arange(1000), 8, 124, seed) for seed in (0, 0, 1))
    assert torch.equal(first.step(0), again.step(0))
    assert not torch.equal(first.step(0), other.step(0))
    assert not torch.equal(first.step(0), first.step(1))  # the second pass


def test_a_file_is_read_as_an_array_is(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 50_000, 1000).astype(np.uint16)
    np.save(tmp_path / "tokens.npy", tokens)
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    for a in (mapped, torch.from_numpy(tokens.astype(np.int64))):
        assert torch.equal(Batches(a, 10, 4).step(7), Batches(tokens, 10, 4).step(7))


@given(st.integers(5, 200), st.integers(1, 4), st.integers(1, 6), st.integers(1, 9))
def test_evaluation_windows(length, context, batch, most):
    windows = torch.cat(list(windows_in_order(np.arange(length), context, batch)))
    assert windows[:, 1:].flatten().tolist() == list(
        range(1, 1 + context * ((length - 1) // context))
    )
    some = torch.cat(list(windows_in_order(np.arange(length), context, batch, most)))
    assert len(some) == min(most, len(windows))
    assert len({row[0].item() for row in some}) == len(some)


@given(st.integers(20, 500), st.floats(0.05, 0.5), st.integers(1, 10))
def test_split_loses_nothing(length, share, blocks):
    training, validation = split(np.arange(length), share, blocks)
    assert sorted([*training, *validation]) == list(range(length))
    assert abs(len(validation) - share * length) <= blocks


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Batches(np.arange(8), 8, 1), "8 training tokens do not fill a .* least 9"),
        (lambda: Batches(np.arange(9), 8, 0), "batch_size must be an integer at least 1, got 0"),
        (lambda: list(windows_in_order(np.arange(8), 8, 1)), "8 training tokens do not"),
        (lambda: list(windows_in_order(np.arange(9), 8, 1, 0)), "sequences must be an integer at"),
        (lambda: split(np.arange(9), 1.0), r"validation .* must be in \(0, 1\), got 1.0"),
        (lambda: split("a text", 0.1), "must be an array or a tensor, got 'a text'"),
        (lambda: Batches(np.ones(9), 3, 1), r"must be whole numbers .*, got float64 of shape \(9,"),
        (lambda: Batches(torch.ones(9, 2).long(), 3, 1), r"got torch.int64 of shape \(9, 2\)"),
        (lambda: Batches(np.arange(9), 0, 1), "context_length must be an integer at least 1"),
        (lambda: Batches(np.arange(9), True, 1), "context_length must be an integer .* got True"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
