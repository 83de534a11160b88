"""Answers to the exercises of the chapter on scaling laws."""

import math
from types import SimpleNamespace

import numpy as np
import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.scaling"

# --- 1. What the next doubling buys


def gain(loss, floor, p):
    return (loss - floor) * (1 - 2**-p) / loss


def gain_cases():
    return [
        (3.0, 1.7, 0.3),
        (2.0, 0.0, 1.0),
        (4.0, 1.0, 0.05),
        (2.5, 2.0, 0.5),
        (10.0, 3.0, 2.0),
        (1.0, 1.0, 0.4),
        (5, 2, 1),
        (2.2, 1.69, 0.34),
    ]


wrong, right = exercise(CHECKS, "check_gain", gain, gain_cases)
right(
    "1 minus the ratio of losses", lambda loss, floor, p: 1 - (floor + (loss - floor) / 2**p) / loss
)
right("expm1", lambda loss, floor, p: -(1 - floor / loss) * math.expm1(-p * math.log(2)))


@right("a law built and asked twice")
def _(loss, floor, p):
    x = 7.0
    a = (loss - floor) * x**p
    later = floor + a * (2 * x) ** -p
    return (loss - later) / loss


wrong("ignores the floor", lambda loss, floor, p: 1 - 2**-p)
wrong("an absolute difference", lambda loss, floor, p: (loss - floor) * (1 - 2**-p))
wrong(
    "a share of what is above the floor, then the floor forgotten",
    lambda loss, floor, p: (loss - floor) * (1 - 2**-p) / (loss - floor + 1e-9),
)
wrong("divides by the floor", lambda loss, floor, p: (loss - floor) * (1 - 2**-p) / (floor or 1))
wrong("what remains above the floor", lambda loss, floor, p: (loss - floor) * 2**-p / loss)
wrong("the new loss", lambda loss, floor, p: floor + (loss - floor) * 2**-p)
wrong("the ratio of new to old", lambda loss, floor, p: (floor + (loss - floor) * 2**-p) / loss)
wrong("2**p - 1", lambda loss, floor, p: (loss - floor) * (2**p - 1) / loss)
wrong("e for 2", lambda loss, floor, p: (loss - floor) * (1 - math.exp(-p)) / loss)
wrong("ten for two", lambda loss, floor, p: (loss - floor) * (1 - 10**-p) / loss)
wrong("first order: p ln 2", lambda loss, floor, p: (loss - floor) * p * math.log(2) / loss)
wrong("p for the exponential", lambda loss, floor, p: (loss - floor) * p / loss)
wrong("half of it", lambda loss, floor, p: (loss - floor) / 2 / loss)
wrong("negative", lambda loss, floor, p: -gain(loss, floor, p))
wrong("percent", lambda loss, floor, p: 100 * gain(loss, floor, p))
wrong(
    "divides by the new loss",
    lambda loss, floor, p: (lambda new: (loss - new) / new)(floor + (loss - floor) * 2**-p),
)
wrong("adds the floor", lambda loss, floor, p: (loss + floor) * (1 - 2**-p) / loss)
wrong(
    "the loss without the floor subtracted, but over loss - floor",
    lambda loss, floor, p: loss * (1 - 2**-p) / (loss - floor + 1e-9),
)
wrong(
    "precedence: loss - floor * (...)", lambda loss, floor, p: (loss - floor * (1 - 2**-p)) / loss
)
wrong("precedence: loss - floor / loss", lambda loss, floor, p: loss - floor / loss * (1 - 2**-p))
wrong("square: a doubling of both", lambda loss, floor, p: (loss - floor) * (1 - 4**-p) / loss)
wrong("rounded to two digits", lambda loss, floor, p: round(gain(loss, floor, p), 2))
wrong("both: ignores the floor, e for 2", lambda loss, floor, p: 1 - math.exp(-p))
wrong(
    "both: an absolute difference, in first order",
    lambda loss, floor, p: (loss - floor) * p * math.log(2),
)
wrong("both: 2**p - 1 and negative", lambda loss, floor, p: -(loss - floor) * (2**p - 1) / loss)

# --- 2. A power law through two points


def through(x_1, y_1, x_2, y_2):
    p = -np.log(y_2 / y_1) / np.log(x_2 / x_1)
    return float(y_1 * x_1**p), float(p)


def through_cases():
    return [
        (1.0, 4.0, 2.0, 2.0),
        (10.0, 3.0, 1000.0, 2.0),
        (2.0, 5.0, 8.0, 1.0),
        (100.0, 1.0, 10.0, 3.0),
        (3.0, 1.0, 6.0, 2.0),
        (1e6, 4.0, 1e9, 2.5),
        (0.5, 2.0, 4.0, 0.3),
        (2.0, 3.0, 5.0, 3.0),
    ]


def line(x1, y1, x2, y2, log=math.log):
    return -(log(y2) - log(y1)) / (log(x2) - log(x1))


wrong, right = exercise(CHECKS, "check_through", through, through_cases)
wrong(
    "a quotient of ratios, no logarithms",
    lambda x, y, v, w: (y * x ** (-(w / y) / (v / x)), -(w / y) / (v / x)),
)
right(
    "polyfit on logarithms",
    lambda *a: (lambda c: (float(np.exp(c[1])), float(-c[0])))(
        np.polyfit(np.log([a[0], a[2]]), np.log([a[1], a[3]]), 1)
    ),
)
right("base 10", lambda *a: (a[3] * a[2] ** line(*a, math.log10), line(*a, math.log10)))


@right("solves two linear equations")
def _(x_1, y_1, x_2, y_2):
    matrix = np.array([[1.0, -math.log(x_1)], [1.0, -math.log(x_2)]])
    log_a, p = np.linalg.solve(matrix, np.log([y_1, y_2]))
    return math.exp(log_a), p


wrong("p with the wrong sign", lambda *a: (through(*a)[0], -line(*a)))
wrong("p negative, and a to match", lambda *a: (a[1] * a[0] ** -line(*a), -line(*a)))
wrong("a divides: y / x**p", lambda *a: (a[1] / a[0] ** line(*a), line(*a)))
wrong("a is the first y", lambda *a: (a[1], line(*a)))
wrong("ln a", lambda *a: (math.log(through(*a)[0]), line(*a)))
wrong("(p, a)", lambda *a: through(*a)[::-1])
wrong(
    "slope of a straight line",
    lambda *a: (a[1] * a[0] ** ((a[1] - a[3]) / (a[2] - a[0])), (a[1] - a[3]) / (a[2] - a[0])),
)
wrong(
    "an exponential law: logarithm of y only",
    lambda *a: (lambda p: (a[1] * math.exp(p * a[0]), p))(math.log(a[1] / a[3]) / (a[2] - a[0])),
)
wrong(
    "logarithm of x only",
    lambda *a: (lambda p: (a[1] + p * math.log(a[0]), p))((a[1] - a[3]) / math.log(a[2] / a[0])),
)
wrong("ln(x2/x1) over ln(y2/y1)", lambda *a: (lambda p: (a[1] * a[0] ** p, p))(1 / (line(*a) or 1)))
wrong(
    "the logarithm of differences",
    lambda *a: (lambda p: (a[1] * a[0] ** p, p))(
        math.log(abs(a[3] - a[1]) + 1) / math.log(abs(a[2] - a[0]) + 1)
    ),
)
wrong(
    "the ratio without logarithms",
    lambda *a: (lambda p: (a[1] * a[0] ** p, p))((a[1] / a[3]) / (a[2] / a[0])),
)
wrong("mixes the points: y2 with x1", lambda *a: (a[3] * a[0] ** line(*a), line(*a)))
wrong(
    "mixed bases of logarithms",
    lambda *a: (lambda p: (a[1] * a[0] ** p, p))(math.log(a[1] / a[3]) / math.log10(a[2] / a[0])),
)
wrong(
    "a from logarithms, base 10 of natural ones",
    lambda *a: (10 ** (math.log(a[1]) + line(*a) * math.log(a[0])), line(*a)),
)
wrong("always positive: abs", lambda *a: (a[1] * a[0] ** abs(line(*a)), abs(line(*a))))
wrong("p only", line)
wrong(
    "a with the mean point",
    lambda *a: ((a[1] + a[3]) / 2 * ((a[0] + a[2]) / 2) ** line(*a), line(*a)),
)
wrong(
    "a at x = 0: through the second point, shifted",
    lambda *a: (a[3] * (a[2] - a[0] + 1) ** line(*a), line(*a)),
)
wrong("p rounded to two digits", lambda *a: (through(*a)[0], round(line(*a), 2)))
wrong("both: (p, a) with p's sign wrong", lambda *a: (-line(*a), through(*a)[0]))
wrong("both: ln a, and p's sign wrong", lambda *a: (math.log(through(*a)[0]), -line(*a)))
wrong("both: ln(x) over ln(y), and a is the first y", lambda *a: (a[1], 1 / (line(*a) or 1)))

# --- 3. Huber's loss


def huber(error, delta):
    size = np.abs(error)
    return np.where(size <= delta, error**2 / 2, delta * (size - delta / 2))


def huber_cases():
    dice = np.random.default_rng(30)
    return [(dice.normal(size=n) * 2, d) for n, d in [(6, 1.0), (5, 0.1), (20, 2.0), (1, 0.5)]] + [
        (np.array([-3.0, -1.0, 0.0, 1.0, 3.0]), 1.0),
        (np.array([[0.1, -5.0], [2.0, 0.4]]), 0.5),
        (np.array([1e-3, -1e-3, 0.5]), 1e-3),
        (np.array([-0.2, 0.1]), 3.0),
    ]


wrong, right = exercise(CHECKS, "check_huber", huber, huber_cases)
right(
    "the clipped size", lambda e, d: (lambda q: q * (np.abs(e) - q / 2))(np.minimum(np.abs(e), d))
)
right(
    "torch's huber_loss",
    lambda e, d: torch.nn.functional.huber_loss(
        torch.tensor(e), torch.zeros(e.shape, dtype=torch.float64), reduction="none", delta=d
    ).numpy(),
)


@right("a loop")
def _(error, delta):
    out = np.empty(error.shape)
    for i, e in np.ndenumerate(error):
        out[i] = 0.5 * e * e if abs(e) < delta else delta * abs(e) - 0.5 * delta * delta
    return out


right(
    "where with three parts",
    lambda e, d: np.where(
        e > d, d * e - d * d / 2, np.where(e < -d, -d * e - d * d / 2, e * e / 2)
    ),
)


def piece(inside=lambda e, d: e**2 / 2, outside=lambda s, d: d * (s - d / 2), size=np.abs):
    return lambda e, d: np.where(size(e) <= d, inside(e, d), outside(size(e), d))


wrong("the whole square", piece(inside=lambda e, d: e**2))
wrong("a corner: delta times size", piece(outside=lambda s, d: d * s))
wrong("slope 1", piece(outside=lambda s, d: s - d + d**2 / 2))
wrong("slope 1/2", piece(outside=lambda s, d: d**2 / 2 + (s - d) / 2))
wrong("delta squared not halved", piece(outside=lambda s, d: d * (s - d)))
wrong("adds half delta", piece(outside=lambda s, d: d * (s + d / 2)))
wrong("the size alone", piece(outside=lambda s, d: s))
wrong("constant beyond delta", piece(outside=lambda s, d: d**2 / 2 + 0 * s))
wrong("signed errors: the negative ones are squares", piece(size=lambda e: e))
wrong(
    "exchanged: a line within, squares beyond",
    lambda e, d: np.where(np.abs(e) > d, e**2 / 2, d * (np.abs(e) - d / 2)),
)
wrong("squares everywhere", lambda e, d: e**2 / 2)
wrong("sizes everywhere", lambda e, d: np.abs(e))
wrong("smooth L1: divided by delta", lambda e, d: huber(e, d) / d)
wrong("pseudo-Huber", lambda e, d: d**2 * (np.sqrt(1 + (e / d) ** 2) - 1))
wrong("log cosh", lambda e, d: np.log(np.cosh(e)) * d)
wrong("the sum", lambda e, d: huber(e, d).sum())
wrong("the mean", lambda e, d: huber(e, d).mean())
wrong("delta 1 always", lambda e, d: huber(e, 1.0))
wrong("the root", lambda e, d: np.sqrt(huber(e, d)))
wrong("its slope", lambda e, d: np.clip(e, -d, d))
wrong("clips the error and squares it", lambda e, d: np.clip(e, -d, d) ** 2 / 2)
wrong(
    "the line has the error's sign",
    lambda e, d: np.where(np.abs(e) <= d, e**2 / 2, d * (e - d / 2)),
)
wrong(
    "compares the square with delta",
    lambda e, d: np.where(e**2 <= d, e**2 / 2, d * (np.abs(e) - d / 2)),
)
wrong("overwrites the errors", lambda e, d: e.__setitem__(..., huber(e, d)) or e)
wrong("both: the whole square, slope 1", piece(lambda e, d: e**2, lambda s, d: s - d + d**2 / 2))
wrong("both: the whole square, and delta times size", piece(lambda e, d: e**2, lambda s, d: d * s))
wrong("both: signed errors, and a corner", piece(outside=lambda s, d: d * s, size=lambda e: e))

# --- 4. The lowest point of an isoFLOP curve


def lowest(parameters, loss):
    a, b, _ = np.polyfit(np.log(parameters), loss, 2)
    return float(np.exp(-b / (2 * a)))


def lowest_cases():
    dice = np.random.default_rng(31)
    cases = []
    for n, low, center in [
        (5, 1e6, 3e7),
        (7, 1e7, 1e9),
        (3, 100.0, 900.0),
        (9, 1e5, 2e6),
        (6, 1e8, 1e8),
    ]:
        x = low * np.exp(dice.uniform(0, 7, size=n))
        cases.append((x, 2 + 0.02 * np.log(x / center) ** 2 + 0.01 * dice.normal(size=n)))
    x = np.array([1e6, 2e6, 4e6, 8e6])
    return [*cases, (x, np.array([3.0, 2.8, 2.7, 2.65]))]


wrong, right = exercise(CHECKS, "check_lowest", lowest, lowest_cases)
wrong(
    "both: over the logarithm of the loss, and cut to the runs' sizes",
    lambda n, y: np.clip(lowest(n, np.log(y)), n.min(), n.max()),
)
wrong("axes exchanged", lambda n, y: np.exp(np.polyval(np.polyfit(y, np.log(n), 2), y.min())))
right(
    "base 10",
    lambda x, y: (lambda c: float(10 ** (-c[1] / (2 * c[0]))))(np.polyfit(np.log10(x), y, 2)),
)
right(
    "least squares by hand, centered",
    lambda x, y: (
        lambda t, m: (lambda c: float(np.exp(m - c[1] / (2 * c[2]))))(
            np.linalg.lstsq(np.stack([t**0, t, t**2], 1), np.asarray(y), rcond=None)[0]
        )
    )(np.log(x) - np.log(x).mean(), np.log(x).mean()),
)
right(
    "numpy's Polynomial and the root of its slope",
    lambda x, y: float(
        np.exp(np.polynomial.Polynomial.fit(np.log(x), y, 2).deriv().roots()[0].real)
    ),
)


def vertex(x, y):
    a, b, _ = np.polyfit(x, y, 2)
    return -b / (2 * a)


wrong("over the parameters, not their logarithm", lambda x, y: float(vertex(x, y)))
wrong("returns the logarithm", lambda x, y: float(vertex(np.log(x), y)))
wrong("fits the logarithm of the loss", lambda x, y: float(np.exp(vertex(np.log(x), np.log(y)))))
wrong("the measured size of least loss", lambda x, y: float(np.asarray(x)[np.argmin(y)]))
wrong(
    "coefficients in the other order",
    lambda x, y: (lambda c: float(np.exp(-c[1] / (2 * c[2]))))(np.polyfit(np.log(x), y, 2)),
)
wrong("-b / a", lambda x, y: (lambda c: float(np.exp(-c[1] / c[0])))(np.polyfit(np.log(x), y, 2)))
wrong(
    "b / 2a", lambda x, y: (lambda c: float(np.exp(c[1] / (2 * c[0]))))(np.polyfit(np.log(x), y, 2))
)
wrong(
    "precedence: -b / 2 * a",
    lambda x, y: (lambda c: float(np.exp(-c[1] / 2 * c[0])))(np.polyfit(np.log(x), y, 2)),
)
wrong("logarithm to base 10, back with e", lambda x, y: float(np.exp(vertex(np.log10(x), y))))
wrong("logarithm to base 2, back with 10", lambda x, y: float(10 ** vertex(np.log2(x), y)))
wrong(
    "the loss at the lowest point",
    lambda x, y: (lambda c: float(np.polyval(c, -c[1] / (2 * c[0]))))(np.polyfit(np.log(x), y, 2)),
)
wrong(
    "a cubic",
    lambda x, y: (
        lambda c: float(np.exp((-c[1] + np.sqrt(abs(c[1] ** 2 - 3 * c[0] * c[2]))) / (3 * c[0])))
    )(np.polyfit(np.log(x), y, 3)),
)
wrong("parameters over the loss, axes exchanged", lambda x, y: float(np.exp(vertex(y, np.log(x)))))
wrong(
    "stays within the measured sizes",
    lambda x, y: float(np.clip(lowest(x, y), np.min(x), np.max(x))),
)
wrong("the mean size", lambda x, y: float(np.exp(np.mean(np.log(x)))))
wrong(
    "the parabola through the first three", lambda x, y: float(np.exp(vertex(np.log(x[:3]), y[:3])))
)
wrong(
    "the parabola through the lowest three",
    lambda x, y: (lambda i: float(np.exp(vertex(np.log(x[i]), y[i]))))(np.argsort(y)[:3]),
)
wrong(
    "the best of a coarse grid",
    lambda x, y: (lambda g, c: float(np.exp(g[np.argmin(np.polyval(c, g))])))(
        np.linspace(np.log(np.min(x)), np.log(np.max(x)), 20), np.polyfit(np.log(x), y, 2)
    ),
)
wrong("rounded to a power of ten", lambda x, y: float(10 ** round(math.log10(lowest(x, y)))))
wrong("both: over the parameters, fits ln loss", lambda x, y: float(vertex(x, np.log(y))))
wrong("both: -b / a, and returns the logarithm", lambda x, y: float(2 * vertex(np.log(x), y)))
wrong("both: base 10, and returns the logarithm", lambda x, y: float(vertex(np.log10(x), y)))

# --- 5. The compute-optimal model


def optimal(law, flop):
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    n = g * (flop / 6) ** (law.beta / (law.alpha + law.beta))
    return float(n), float(flop / (6 * n))


def optimal_cases():
    laws = [
        (1.69, 406.4, 410.7, 0.34, 0.28),
        (1.8, 482.0, 2085.4, 0.35, 0.37),
        (0.5, 10.0, 20.0, 0.5, 0.5),
        (1.0, 5.0, 3.0, 0.2, 0.6),
    ]
    return [
        (SimpleNamespace(E=e, A=a, B=b, alpha=x, beta=y), c)
        for e, a, b, x, y in laws
        for c in (1e18, 5.76e23, 6e10)
    ]


def split(law, flop, g=None, share=None, six=6.0, rest=None):
    s = law.alpha + law.beta
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / s) if g is None else g(law, s)
    n = g * (flop / six) ** (law.beta / s if share is None else share(law, s))
    return float(n), float(flop / (six * n) if rest is None else rest(n))


wrong, right = exercise(CHECKS, "check_optimal", optimal, optimal_cases)
wrong(
    "6 missing in the power",
    lambda law, c: (lambda n: (n, c / (6 * n)))(optimal(law, 6 * c)[0]),
)
wrong(
    "G not turned over for D",
    lambda law, c: (
        optimal(law, c)[0],
        (c / 6) ** (law.alpha / (law.alpha + law.beta))
        * (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta)),
    ),
)
wrong(
    "G forgotten in D",
    lambda law, c: (optimal(law, c)[0], (c / 6) ** (law.alpha / (law.alpha + law.beta))),
)
right(
    "in logarithms",
    lambda law, flop: (lambda n: (n, flop / 6 / n))(
        math.exp(
            (
                math.log(law.alpha * law.A)
                - math.log(law.beta * law.B)
                + law.beta * math.log(flop / 6)
            )
            / (law.alpha + law.beta)
        )
    ),
)
right(
    "D first",
    lambda law, flop: (lambda d: (flop / (6 * d), d))(
        (law.beta * law.B / (law.alpha * law.A)) ** (1 / (law.alpha + law.beta))
        * (flop / 6) ** (law.alpha / (law.alpha + law.beta))
    ),
)


@right("bisection of the derivative")
def _(law, flop):
    low, high = 0.0, math.log(flop)
    for _ in range(200):
        middle = (low + high) / 2
        slope = (
            law.beta * law.B * (flop / 6 / math.exp(middle)) ** -law.beta
            - law.alpha * law.A * math.exp(middle) ** -law.alpha
        )
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp(low), flop / 6 / math.exp(low)


wrong("(D, N)", lambda law, c: optimal(law, c)[::-1])
wrong("C = ND, no 6", lambda law, c: split(law, c, six=1.0))
wrong("C = 2ND", lambda law, c: split(law, c, six=2.0))
wrong(
    "alpha in the exponent of N", lambda law, c: split(law, c, share=lambda law, s: law.alpha / s)
)
wrong("half the budget's logarithm each", lambda law, c: split(law, c, share=lambda law, s: 0.5))
wrong(
    "equal terms: A N^-alpha = B D^-beta",
    lambda law, c: split(law, c, lambda law, s: (law.A / law.B) ** (1 / s)),
)
wrong(
    "G upside down",
    lambda law, c: split(
        law, c, lambda law, s: (law.beta * law.B / (law.alpha * law.A)) ** (1 / s)
    ),
)
wrong(
    "alpha and beta exchanged in G",
    lambda law, c: split(
        law, c, lambda law, s: (law.beta * law.A / (law.alpha * law.B)) ** (1 / s)
    ),
)
wrong(
    "G without its root",
    lambda law, c: split(law, c, lambda law, s: law.alpha * law.A / (law.beta * law.B)),
)
wrong("G = 1", lambda law, c: split(law, c, lambda law, s: 1.0))
wrong(
    "G to the power alpha + beta",
    lambda law, c: split(law, c, lambda law, s: (law.alpha * law.A / (law.beta * law.B)) ** s),
)
wrong("20 tokens a parameter", lambda law, c: (math.sqrt(c / 120), 20 * math.sqrt(c / 120)))
wrong("D = C / N", lambda law, c: split(law, c, rest=lambda n: c / n))
wrong("D = 6C / N", lambda law, c: split(law, c, rest=lambda n: 6 * c / n))
wrong("D = N", lambda law, c: split(law, c, rest=lambda n: n))
wrong("D = 20 N", lambda law, c: split(law, c, rest=lambda n: 20 * n))
wrong("N only", lambda law, c: optimal(law, c)[0])
wrong(
    "the least loss",
    lambda law, c: (lambda n, d: law.E + law.A * n**-law.alpha + law.B * d**-law.beta)(
        *optimal(law, c)
    ),
)
wrong("6 outside the power", lambda law, c: (lambda n: (n, c / 6 / n))(optimal(law, c * 6)[0] / 6))
wrong(
    "E in G",
    lambda law, c: split(
        law, c, lambda law, s: (law.alpha * law.A / (law.beta * law.B) * law.E) ** (1 / s)
    ),
)
wrong(
    "the exponents' mean, not their sum",
    lambda law, c: split(
        law, c, lambda law, s: (law.alpha * law.A / (law.beta * law.B)) ** (2 / s)
    ),
)
wrong("logarithms of N and D", lambda law, c: tuple(map(math.log, optimal(law, c))))
wrong(
    "a coarse grid",
    lambda law, c: min(
        ((float(n), float(c / 6 / n)) for n in np.logspace(2, 24, 60)),
        key=lambda x: law.A * x[0] ** -law.alpha + law.B * x[1] ** -law.beta,
    ),
)
wrong("both: (D, N) and no 6", lambda law, c: split(law, c, six=1.0)[::-1])
wrong(
    "both: G upside down, alpha in the exponent of N",
    lambda law, c: split(
        law,
        c,
        lambda law, s: (law.beta * law.B / (law.alpha * law.A)) ** (1 / s),
        lambda law, s: law.alpha / s,
    ),
)
wrong(
    "both: equal terms, and no 6",
    lambda law, c: split(law, c, lambda law, s: (law.A / law.B) ** (1 / s), six=1.0),
)
