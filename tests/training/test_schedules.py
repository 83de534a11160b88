import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.training.schedules import SCHEDULES, constant, warmup_cosine, warmup_stable_decay

steps = st.integers(1, 300).flatmap(
    lambda total: st.tuples(st.just(total), st.integers(0, total - 1))
)


def torch_rates(schedulers, peak, total):
    """What torch's own schedulers give, step by step."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=peak)
    scheduler = schedulers(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parity("warmup and cosine, each step", "torch LinearLR + CosineAnnealingLR", "1e-9")
@pytest.mark.parametrize(("total", "warmup"), [(100, 0), (100, 10), (37, 36), (50, 1)])
def test_cosine_equals_torch(total, warmup):
    def reference(optimizer):
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=total - warmup, eta_min=0.1 * 3e-4
        )
        if not warmup:
            return cosine
        rise = torch.optim.lr_scheduler.LinearLR(
            optimizer, start_factor=1 / (warmup + 1), total_iters=warmup
        )
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, cosine], [warmup])

    rate = warmup_cosine(3e-4, total, warmup)
    expected = torch_rates(reference, 3e-4, total)
    assert [rate(s) for s in range(total)] == pytest.approx(expected, rel=1e-9)


@given(steps, st.floats(1e-6, 1.0))
def test_every_schedule_rises_then_falls(total_warmup, peak):
    total, warmup = total_warmup
    for make in SCHEDULES.values():
        rate = make(peak, total, warmup)
        rates = [rate(s) for s in range(total)]
        assert all(0 < r <= peak * (1 + 1e-12) for r in rates)
        top = rates.index(max(rates))
        assert rates[: top + 1] == sorted(rates[: top + 1])
        assert all(
            later <= earlier + 1e-15
            for earlier, later in zip(rates[top:], rates[top + 1 :], strict=False)
        )


@given(st.integers(10, 200), st.integers(200, 400))
def test_the_plateau_does_not_depend_on_the_end(short, long):
    """So that a run may be prolonged from a checkpoint on the plateau."""
    first, second = (warmup_stable_decay(1.0, total, 5, decay=5) for total in (short, long))
    assert [first(s) for s in range(short - 5)] == [second(s) for s in range(short - 5)]


def test_values_by_hand():
    assert [constant(3.0, warmup=2)(s) for s in range(4)] == [1.0, 2.0, 3.0, 3.0]
    cosine = warmup_cosine(1.0, 10, 0, floor=0.2)
    assert cosine(5) == pytest.approx(0.6)
    assert cosine(10) == cosine(99) == pytest.approx(0.2)
    decay = warmup_stable_decay(1.0, 10, 0, decay=4)
    assert [decay(s) for s in (6, 7, 8, 9, 10)] == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: warmup_cosine(0.0, 10), "peak learning rate must be above 0, got 0.0"),
        (lambda: warmup_cosine(math.inf, 10), "peak learning rate must be above 0, got inf"),
        (lambda: warmup_cosine(1.0, 10, 10), r"of 10 steps\) must be .* \[0, 9\], got 10"),
        (lambda: warmup_cosine(1.0, 10, 0, 1.5), r"floor .* must be in \[0, 1\], got 1.5"),
        (lambda: warmup_stable_decay(1.0, 10, 3, decay=8), "decay must be .* 7], got 8"),
        (lambda: constant(1.0, -1), "warmup must be an integer at least 0, got -1"),
        (lambda: constant(math.nan), "peak learning rate must be above 0, got nan"),
        (lambda: warmup_cosine(1.0, "10"), "number of steps must be an integer .* got '10'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
