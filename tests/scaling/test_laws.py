"""Fits against SciPy and known constants; allocation against numerical minimization."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, minimize, minimize_scalar

from lib import scaling
from lib.scaling.allocation import FLOP_PER_PARAMETER_AND_TOKEN
from lib.scaling.fitting import Exponential, PowerLaw

SIZES = np.geomspace(3e3, 4e5, 12).repeat(3)


def noisy(law, seed=0, noise=0.005):
    return law(SIZES) * (1 + noise * np.random.default_rng(seed).normal(size=len(SIZES)))


@pytest.mark.parity("power law with a floor", "scipy curve_fit", "6 digits")
@pytest.mark.parametrize("seed", range(3))
def test_a_power_law_is_fitted_as_scipy_does(seed):
    y = noisy(PowerLaw(30, 0.35, 1.2), seed)
    ours = scaling.fit_power_law(SIZES, y)
    scipy, _ = curve_fit(lambda x, a, p, e: e + a * x**-p, SIZES, y, (20, 0.3, 1), sigma=y)
    assert [ours.a, ours.p, ours.floor] == pytest.approx(scipy, rel=1e-5)
    ours = scaling.fit_power_law(SIZES, y, floor=False)
    scipy, _ = curve_fit(lambda x, a, p: a * x**-p, SIZES, y, (10, 0.1), sigma=y)
    assert [ours.a, ours.p, ours.floor] == pytest.approx([*scipy, 0], rel=1e-5)


@pytest.mark.parity("exponential with a floor", "scipy curve_fit", "6 digits")
@pytest.mark.parametrize("seed", range(3))
def test_an_exponential_is_fitted_as_scipy_does(seed):
    y = noisy(Exponential(1.5, 2e-5, 1.2), seed)
    ours = scaling.fit_exponential(SIZES, y)
    scipy, _ = curve_fit(
        lambda x, a, k, e: e + a * np.exp(-k * 1e-5 * x), SIZES, y, (1, 1, 1), sigma=y
    )
    assert [ours.a, ours.k * 1e5, ours.floor] == pytest.approx(scipy, rel=1e-5)


@pytest.mark.parity("robust power law", "scipy minimize, Nelder-Mead", "no higher")
@pytest.mark.parametrize("seed", range(3))
def test_a_robust_fit_has_the_least_absolute_errors(seed):
    y = noisy(PowerLaw(30, 0.35, 1.2), seed)
    y[10] *= 1.2  # one bad run

    def error(unknown):
        ln_a, p, floor = unknown
        return np.abs((abs(floor) + np.exp(ln_a) * SIZES**-p) / y - 1).sum()

    ours = scaling.fit_power_law(SIZES, y, robust=True)
    found = minimize(
        error, (np.log(30), 0.35, 1.2), method="Nelder-Mead",
        options={"maxiter": 5000, "maxfev": 5000, "xatol": 1e-9, "fatol": 1e-12},
    )  # fmt: skip
    assert error((np.log(ours.a), ours.p, ours.floor)) <= found.fun * (1 + 2e-3)
    bent = scaling.fit_power_law(SIZES, y)
    assert abs(ours(1e6) / PowerLaw(30, 0.35, 1.2)(1e6) - 1) < 0.01
    assert abs(ours.p - 0.35) < abs(bent.p - 0.35) + 0.02


constants = st.tuples(
    st.floats(0.05, 1.5),
    st.floats(0.5, 50),
    st.one_of(st.just(0.0), st.floats(0.1, 5)),
)


@settings(max_examples=40, deadline=None)
@given(constants)
def test_exact_points_give_back_their_power_law(constants):
    p, above, floor = constants
    law = PowerLaw(above * 1e4**p, p, floor)
    x = np.geomspace(1e3, 1e6, 9)
    found = scaling.fit_power_law(x, law(x))
    assert found(x) == pytest.approx(law(x), rel=1e-4)
    assert found.p == pytest.approx(p, rel=0.02)
    assert found.floor == pytest.approx(floor, rel=0.02, abs=0.02 * law(x).min())


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 20), st.floats(0.1, 5), st.floats(0, 5))
def test_exact_points_give_back_their_exponential(rate, above, floor):
    law = Exponential(above, rate / 1e4, floor)
    x = np.linspace(100, 2e4, 12)
    found = scaling.fit_exponential(x, law(x))
    assert found(x) == pytest.approx(law(x), rel=1e-4, abs=1e-6)


@given(st.floats(0.1, 100), st.floats(1.1, 100), st.floats(0.01, 10), st.floats(1.01, 100))
def test_both_laws_pass_through_two_points(x, ratio, y, fall):
    first, second = (x, y * fall), (x * ratio, y)
    for kind in (PowerLaw, Exponential):
        law = kind.through(first, second, floor=y / 2)
        assert [law(first[0]), law(second[0])] == pytest.approx([first[1], second[1]], rel=1e-6)


@given(st.floats(0.01, 1), st.floats(0.1, 1e6), st.floats(0, 3))
def test_the_slope_is_the_derivative_on_logarithmic_axes(p, x, floor):
    for law in (PowerLaw(3.0, p, floor), Exponential(3.0, p / x, floor)):
        step = 1e-5
        numeric = np.log(law(x * (1 + step)) / law(x * (1 - step))) / (2 * np.arctanh(step))
        assert law.slope(x) == pytest.approx(numeric, rel=1e-4, abs=1e-9)


def test_between_its_two_common_points_the_power_law_is_lower_and_outside_higher():
    power, exponential = (
        kind.through((1, 4), (9, 1)) for kind in (scaling.PowerLaw, scaling.Exponential)
    )
    inside, outside = np.linspace(1.1, 8.9, 50), np.array([0.2, 0.9, 9.1, 20, 100])
    assert (power(inside) < exponential(inside)).all()
    assert (power(outside) > exponential(outside)).all()


def test_a_doubling_takes_a_fixed_share_only_without_a_floor():
    x = np.geomspace(1, 1e6, 7)
    assert scaling.gain_of_doubling(PowerLaw(5, 0.076), x) == pytest.approx(
        np.full(7, 1 - 2**-0.076)
    )
    with_floor = scaling.gain_of_doubling(PowerLaw(5, 0.3, 1.0), x)
    assert (np.diff(with_floor) < 0).all()
    assert with_floor[-1] < 0.02


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = PowerLaw(30, 0.35, 1.2)
    held = 0
    for seed in range(50):
        sample = scaling.bootstrap_laws(PowerLaw, SIZES, noisy(truth, seed), samples=100, seed=seed)
        low, high = scaling.interval([law.p for law in sample], 0.9)
        held += low <= truth.p <= high
    assert 0.72 <= held / 50 <= 0.99  # a bootstrap of few points is a little too sure of itself


def test_prediction_intervals_hold_new_points_about_as_often_as_they_say():
    truth, new_x = PowerLaw(30, 0.35, 1.2), 1.6e6
    held = 0
    for seed in range(100):
        y = noisy(truth, seed)
        fit = scaling.fit_power_law(SIZES, y)
        sample = scaling.bootstrap_laws(PowerLaw, SIZES, y, samples=100, seed=seed)
        low, high = scaling.prediction_interval(sample, fit, SIZES, y, new_x, 0.9, seed)
        new = truth(new_x) * (1 + 0.005 * np.random.default_rng(1000 + seed).normal())
        held += low <= new <= high
    assert 80 <= held <= 98


@pytest.mark.parametrize("kind", [PowerLaw, Exponential])
@pytest.mark.parametrize("floor", [True, False])
def test_a_resampled_fit_is_a_fit_to_the_resampled_points(kind, floor):
    law = PowerLaw(30, 0.35, 1.2) if kind is PowerLaw else Exponential(1.5, 2e-5, 1.2)
    fit = scaling.fit_power_law if kind is PowerLaw else scaling.fit_exponential
    y = noisy(law)
    weights = scaling.resampled_weights(len(SIZES), 20, seed=3).astype(int)
    sample = scaling.bootstrap_laws(kind, SIZES, y, floor, samples=5, seed=3)
    for counts, found in zip(weights, sample, strict=False):
        alone = fit(np.repeat(SIZES, counts), np.repeat(y, counts), floor)
        assert found(SIZES) == pytest.approx(alone(SIZES), rel=1e-3)


def test_groups_are_resampled_whole():
    weights = scaling.resampled_weights(6, 50, groups=[7, 7, 7, 9, 9, 9])
    assert (weights[:, :3] == weights[:, :1]).all()
    assert (weights[:, 3:] == weights[:, 3:4]).all()
    assert set(weights[:, 0] + weights[:, 3]) == {2.0}


def test_the_law_that_made_the_points_wins_on_held_out_ones():
    power = scaling.extrapolate(SIZES, noisy(PowerLaw(30, 0.35, 1.2)), 1e5)
    assert min(power, key=lambda name: power[name]["held out"]) == "power law + floor"
    assert power["exponential + floor"]["bias"] > 0.01
    assert power["power law"]["bias"] < -0.01  # no floor: promises too much
    exponential = scaling.extrapolate(SIZES, noisy(Exponential(1.5, 2e-5, 1.2)), 1e5)
    assert min(exponential, key=lambda name: exponential[name]["held out"]) == (
        "exponential + floor"
    )


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.2, 0.6), st.floats(0.2, 0.6), st.floats(50, 5000), st.floats(50, 5000),
    st.floats(18, 26),
)  # fmt: skip
def test_the_optimal_allocation_is_the_minimum_of_the_isoflop_curve(alpha, beta, a, b, exponent):
    law, flop = scaling.ChinchillaLaw(1.7, a, b, alpha, beta), 10.0**exponent
    best = scaling.optimal(law, flop)
    assert FLOP_PER_PARAMETER_AND_TOKEN * best.parameters * best.tokens == pytest.approx(flop)
    at = np.log(best.parameters)
    found = minimize_scalar(
        lambda ln_n: scaling.isoflop(law, flop, np.exp(ln_n)), bounds=(at - 5, at + 5),
        method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    assert best.loss <= found.fun * (1 + 1e-9)
    assert found.x == pytest.approx(at, abs=1e-2)


def test_a_parabola_finds_the_lowest_of_an_isoflop_curve():
    best = scaling.optimal(scaling.BESIROGLU, 1e21)
    n = best.parameters * np.geomspace(0.5, 2, 9)
    lowest, loss = scaling.lowest_of_isoflop(n, scaling.isoflop(scaling.BESIROGLU, 1e21, n))
    assert lowest == pytest.approx(best.parameters, rel=0.05)
    assert loss == pytest.approx(best.loss, rel=1e-3)
    with pytest.raises(ValueError, match="no minimum"):
        scaling.lowest_of_isoflop([1, 2, 3], [1, 2, 1])


def test_the_optimum_without_embeddings_is_the_minimum_too():
    """And its exponent is Kaplan's at his sizes, Chinchilla's at large ones."""
    n = np.geomspace(1e4, 1e12, 9)
    flop = scaling.optimal_without_embeddings(scaling.BESIROGLU, n)
    for budget, best in zip(flop, n, strict=True):
        found = minimize_scalar(
            lambda ln_n, budget=budget: scaling.BESIROGLU(
                scaling.total_parameters(np.exp(ln_n)), scaling.tokens_for(budget, np.exp(ln_n))
            ),
            bounds=(np.log(best) - 1, np.log(best) + 1),
            method="bounded",
        )
        assert found.x == pytest.approx(np.log(best), abs=0.02)
    large = np.geomspace(1e13, 1e15, 5)
    exponent, _ = scaling.fit_exponent(
        scaling.optimal_without_embeddings(scaling.BESIROGLU, large), large
    )
    assert exponent == pytest.approx(scaling.BESIROGLU.parameter_exponent, abs=0.005)


def test_exact_match_of_independent_tokens():
    assert scaling.exact_match(np.log(2), 3) == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaling.fit_power_law([1, 2, -3], [1, 1, 1]), "x must be positive and finite"),
        (lambda: scaling.fit_power_law([1, 2, 3], [1, 1]), "y must be one row of 3 numbers like x"),
        (lambda: scaling.fit_power_law([1, 2], [1, 1]), "at least 3 points, got 2"),
        (lambda: scaling.fit_exponential([1, 2, 3], [1, 1, np.nan]), "y must be positive and fin"),
        (lambda: scaling.PowerLaw.through((1, 2), (1, 3)), "two different x"),
        (lambda: scaling.PowerLaw.through((1, 2), (2, 1), floor=1.5), "above the floor 1.5"),
        (lambda: scaling.optimal(scaling.HOFFMANN, -1), "flop must be above 0, got -1"),
        (lambda: scaling.interval([1, 2], 1.5), r"level must be in \(0, 1\), got 1.5"),
        (lambda: scaling.extrapolate(SIZES, SIZES, 1e9), "largest_fitted must leave"),
        (lambda: scaling.resampled_weights(0, 1), "must be at least 1, got 0 and 1"),
        (lambda: scaling.bootstrap_laws(PowerLaw, [1, 1, 1], [1, 2, 3]), "3 different x, got 1"),
        (lambda: scaling.fit_chinchilla([1] * 4, [1] * 4, [1] * 4), "at least 5 points, got 4"),
        (lambda: scaling.fit_kaplan([1] * 4, [1] * 4, [0, 1, 1, 1]), "loss must be positive"),
    ],
)  # fmt: skip
def test_bad_points_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
