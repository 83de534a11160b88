"""A third blind reading, of chapters 12 and 13: slips that the first two did not make."""

import math

import numpy as np
import torch

from tests.exercises.answers import begin, exercise

INF = math.inf

# --- FLOPs of training

wrong, right = begin("check_training_flops")


def flops(L, C, H, K, D, F, V, T, each=6, q=1, o=1, kv=2, mats=3, pairs=2, head=1, blocks=None):
    block = C * D * ((q + o) * H + kv * K) + mats * C * F + pairs * T * H * D
    return each * ((L if blocks is None else blocks) * block + head * C * V)


wrong("forward only", lambda *a: flops(*a, each=2))
wrong("backward only", lambda *a: flops(*a, each=4))
wrong("multiplications only", lambda *a: flops(*a, each=3))
wrong("one product of attention", lambda *a: flops(*a, pairs=1))
wrong("no products of attention", lambda *a: flops(*a, pairs=0))
wrong("the mask halves the pairs", lambda *a: flops(*a) - 6 * a[0] * a[7] * a[2] * a[4])
wrong("two matrices in the feed-forward layer", lambda *a: flops(*a, mats=2))
wrong("no output matrix", lambda *a: flops(*a, o=0))
wrong("values without a matrix", lambda *a: flops(*a, kv=1))
wrong(
    "keys and values for every query head",
    lambda L, C, H, K, D, F, V, T: flops(L, C, H, H, D, F, V, T),
)
wrong("no head over the vocabulary", lambda *a: flops(*a, head=0))
wrong("the head in every layer", lambda *a: flops(*a, head=a[0]))
wrong(
    "key heads in the products of attention",
    lambda L, C, H, K, D, F, V, T: flops(L, C, H, K, D, F, V, T) - 12 * L * T * (H - K) * D,
)
wrong("for the whole text", lambda *a: a[7] * flops(*a))
wrong(
    "attention's products forward only",
    lambda *a: flops(*a, pairs=0) + 4 * a[0] * a[7] * a[2] * a[4],
)
wrong(
    "attention's products without backward, twice",
    lambda L, C, H, K, D, F, V, T: flops(L, C, H, K, D, F, V, T, pairs=0) + 12 * L * T * H,
)
right(
    "matrix by matrix",
    lambda L, C, H, K, D, F, V, T: (
        3
        * (
            L
            * (
                2 * C * H * D
                + 2 * 2 * C * K * D
                + 2 * H * D * C
                + 3 * 2 * C * F
                + 2 * 2 * T * H * D
            )
            + 2 * C * V
        )
    ),
)
right(
    "numpy, floats",
    lambda L, C, H, K, D, F, V, T: float(
        6.0
        * (
            L * (np.dot([2.0 * H, 2.0 * K], [C * D, C * D]) + 3.0 * C * F + 2.0 * T * H * D)
            + 1.0 * C * V
        )
    ),
)
right(
    "a sum over layers",
    lambda L, C, H, K, D, F, V, T: (
        sum(6 * (C * H * D * 2 + C * K * D * 2 + 3 * C * F) + 12 * T * H * D for _ in range(L))
        + 6 * C * V
    ),
)

# --- Two utilizations

wrong, right = begin("check_utilization")


def used(n, t, peak, again, own=6, whole=8, plain=6):
    return own * n * t / peak, (whole if again else plain) * n * t / peak


wrong("MFU counts the recomputation too", lambda n, t, p, r: used(n, t, p, r, own=8 if r else 6))
wrong("HFU always with recomputation", lambda n, t, p, r: used(n, t, p, r, plain=8))
wrong("recomputation of everything", lambda n, t, p, r: used(n, t, p, r, whole=12))
wrong("recomputation of the backward pass", lambda n, t, p, r: used(n, t, p, r, whole=10))
wrong("one N for the recomputation", lambda n, t, p, r: used(n, t, p, r, whole=7))
wrong("2N a token", lambda n, t, p, r: used(n, t, p, r, own=2, whole=4, plain=2))
wrong("HFU first", lambda n, t, p, r: used(n, t, p, r)[::-1])
wrong("recomputed the wrong way round", lambda n, t, p, r: used(n, t, p, not r))
wrong("MFU of less where recomputed", lambda n, t, p, r: used(n, t, p, r, own=4 if r else 6))
wrong("cut at 1", lambda n, t, p, r: tuple(min(x, 1.0) for x in used(n, t, p, r)))
wrong("without the tokens", lambda n, t, p, r: used(n, 1, p, r))
wrong("a dictionary", lambda n, t, p, r: {"mfu": used(n, t, p, r)[0], "hfu": used(n, t, p, r)[1]})
wrong(
    "HFU as a share of MFU",
    lambda n, t, p, r: (used(n, t, p, r)[0], used(n, t, p, r)[1] / used(n, t, p, r)[0]),
)
right("a list of numpy numbers", lambda n, t, p, r: list(np.array([6, 6 + 2 * r]) * n * (t / p)))
right(
    "through the time of a token",
    lambda n, t, p, r: (6 * n / (p / t), (2 * n * (1 + bool(r)) + 4 * n) / (p / t)),
)
right(
    "logarithms",
    lambda n, t, p, r: tuple(
        math.exp(math.log(c) + math.log(n) + math.log(t) - math.log(p)) for c in (6, 8 if r else 6)
    ),
)

# --- The least time of a decoding step

wrong, right = begin("check_decode_seconds")


def seconds(n, w, c, b, peak, band, each=2, both=max, weights=1, caches=None):
    return both(
        each * n * b / peak, (weights * n * w + (b if caches is None else caches) * c) / band
    )


wrong("both times added", lambda *a: seconds(*a, both=lambda x, y: x + y))
wrong("the shorter", lambda *a: seconds(*a, both=min))
wrong("N FLOPs", lambda *a: seconds(*a, each=1))
wrong("6N FLOPs", lambda *a: seconds(*a, each=6))
wrong("one cache for all", lambda *a: seconds(*a, caches=1))
wrong("weights for each text", lambda *a: seconds(*a, weights=a[3]))
wrong("arithmetic alone", lambda n, w, c, b, p, m: 2 * n * b / p)
wrong("traffic alone", lambda n, w, c, b, p, m: (n * w + b * c) / m)
wrong("for each text", lambda *a: seconds(*a) / a[3])
wrong("two bytes a weight always", lambda n, w, c, b, p, m: seconds(n, 2, c, b, p, m))
wrong(
    "cache bytes times the bytes of a weight",
    lambda n, w, c, b, p, m: seconds(n, w, c * w, b, p, m),
)
wrong(
    "the larger of weights and caches",
    lambda n, w, c, b, p, m: max(2 * n * b / p, n * w / m, b * c / m),
)
right(
    "if and else",
    lambda n, w, c, b, p, m: (
        b / p * n * 2 if b / p * n * 2 > n * w / m + b * c / m else n * w / m + b * c / m
    ),
)
right(
    "half the sum and half the distance",
    lambda n, w, c, b, p, m: (lambda x, y: (x + y + abs(x - y)) / 2)(
        2 * n * b / p, (n * w + b * c) / m
    ),
)

# --- A cache with windows

wrong, right = begin("check_cache_bytes")


def kept(windows, T, one=lambda w, T: T if w is None else min(w, T)):
    return sum(one(w, T) for w in windows)


wrong("keys alone", lambda w, k, d, t, b: kept(w, t) * k * d * b)
wrong(
    "windows of longer than the text count in full",
    lambda w, k, d, t, b: 2 * kept(w, t, lambda x, t: t if x is None else x) * k * d * b,
)
wrong("the first window for all", lambda w, k, d, t, b: 2 * len(w) * kept(w[:1], t) * k * d * b)
wrong("windows are ignored", lambda w, k, d, t, b: 2 * len(w) * t * k * d * b)
wrong(
    "one position more than the window",
    lambda w, k, d, t, b: (
        2 * kept(w, t, lambda x, t: t if x is None else min(x + 1, t)) * k * d * b
    ),
)
wrong(
    "one position less than the window",
    lambda w, k, d, t, b: (
        2 * kept(w, t, lambda x, t: t if x is None else min(x - 1, t)) * k * d * b
    ),
)
wrong(
    "max for min",
    lambda w, k, d, t, b: 2 * kept(w, t, lambda x, t: t if x is None else max(x, t)) * k * d * b,
)
wrong("KiB", lambda w, k, d, t, b: 2 * kept(w, t) * k * d * b / 1024)
wrong("elements", lambda w, k, d, t, b: 2 * kept(w, t) * k * d)
wrong("heads plus width", lambda w, k, d, t, b: 2 * kept(w, t) * (k + d) * b)
wrong("for each layer", lambda w, k, d, t, b: [2 * kept([x], t) * k * d * b for x in w])
wrong("the last layer is left out", lambda w, k, d, t, b: 2 * kept(w[:-1], t) * k * d * b)
right(
    "numpy, inf for None",
    lambda w, k, d, t, b: float(
        np.minimum([np.inf if x is None else x for x in w], t).sum() * 2 * k * d * b
    ),
)
right(
    "a loop by bytes",
    lambda w, k, d, t, b: sum(
        b * k * d * (1 + 1) * min([x for x in (x, t) if x is not None]) for x in w
    ),
)
right(
    "keys and values apart", lambda w, k, d, t, b: kept(w, t) * k * d * b + kept(w, t) * k * d * b
)

# --- Rounding in groups

wrong, right = begin("check_rounded")


def rounding(w, bits, group, top=None, shape=None, round_=torch.round, back=True, size=None):
    top = 2 ** (bits - 1) - 1 if top is None else top(bits)
    groups = w.unflatten(1, (-1, group)) if shape is None else shape(w, group)
    scale = (size or (lambda g: g.abs().amax(-1, keepdim=True)))(groups) / top
    whole = round_(groups / scale)
    return (whole * scale if back else whole).reshape(w.shape)


wrong("bits as the top", lambda *a: rounding(*a, top=lambda b: b))
wrong("rounded down", lambda *a: rounding(*a, round_=torch.floor))
wrong("cut off", lambda *a: rounding(*a, round_=torch.trunc))
wrong("integers", lambda *a: rounding(*a, back=False))
wrong("largest without size", lambda *a: rounding(*a, size=lambda g: g.amax(-1, keepdim=True)))
wrong("the mean size", lambda *a: rounding(*a, size=lambda g: 2 * g.abs().mean(-1, keepdim=True)))
wrong(
    "half of the range",
    lambda *a: rounding(
        *a, size=lambda g: (g.amax(-1, keepdim=True) - g.amin(-1, keepdim=True)) / 2
    ),
)
wrong("not rounded", lambda *a: rounding(*a, round_=lambda x: x))
wrong("rounded to whole numbers without a scale", lambda w, b, g: w.round())
wrong(
    "groups down a column",
    lambda w, b, g: rounding(w.T.contiguous().view(w.shape), b, g).view(w.T.shape).T,
)
wrong(
    "every n-th weight of a row is a group",
    lambda w, b, g: (
        rounding(w.unflatten(1, (g, -1)).mT.flatten(1), b, g).unflatten(1, (-1, g)).mT.flatten(1)
    ),
)
wrong("in groups, not put together", lambda w, b, g: rounding(w, b, g).unflatten(1, (-1, g)))
wrong("the number of groups for their size", lambda w, b, g: rounding(w, b, w.shape[1] // g))
wrong(
    "the scale rounded to float16",
    lambda *a: rounding(*a, size=lambda g: g.abs().amax(-1, keepdim=True).half().float()),
)
right(
    "loops",
    lambda w, b, g: torch.tensor(
        [
            [
                x
                for i in range(0, len(row), g)
                for s in [max(map(abs, row[i : i + g])) / (2 ** (b - 1) - 1)]
                for x in [round(v / s) * s for v in row[i : i + g]]
            ]
            for row in w.tolist()
        ]
    ),
)
right(
    "float64, reshape to (-1, group)",
    lambda w, b, g: (lambda x, s: (torch.floor(x / s + 0.5) * s).reshape(w.shape).float())(
        w.double().reshape(-1, g),
        w.double().reshape(-1, g).abs().max(1, keepdim=True).values / (2 ** (b - 1) - 1),
    ),
)
right(
    "numpy, repeat",
    lambda w, b, g: (lambda x, s: np.round(x / s) * s)(
        w.numpy(),
        np.repeat(np.abs(w.numpy()).reshape(len(w), -1, g).max(2), g, 1) / (2 ** (b - 1) - 1),
    ),
)

# --- The lowest point of an isoFLOP curve

wrong, right = begin("check_lowest")


def bottom(n, y, x=np.log, back=np.exp, place=lambda a, b, c: -b / (2 * a), fit=np.polyfit):
    return float(back(place(*fit(x(n), y, 2))))


wrong(
    "over the sizes themselves",
    lambda n, y: bottom(n, y, lambda n: n / n.mean(), lambda z: z * n.mean()),
)
wrong("the logarithm to base 10, then exp", lambda n, y: bottom(n, y, np.log10))
wrong("the size's logarithm", lambda n, y: bottom(n, y, back=lambda z: z))
wrong("-b / 2 · a", lambda n, y: bottom(n, y, place=lambda a, b, c: -b / 2 * a))
wrong("lowest power first", lambda n, y: bottom(n, y, place=lambda a, b, c: -b / (2 * c)))
wrong(
    "the height",
    lambda n, y: bottom(n, y, back=lambda z: z, place=lambda a, b, c: c - b * b / (4 * a)),
)
wrong("the best run", lambda n, y: float(n[y.argmin()]))
wrong("through the three best runs", lambda n, y: bottom(n[y.argsort()[:3]], y[y.argsort()[:3]]))
wrong("of the logarithm of the loss", lambda n, y: bottom(n, np.log(y)))
wrong("the parabola at the nearest run", lambda n, y: float(n[np.abs(n - bottom(n, y)).argmin()]))
wrong("between the runs only", lambda n, y: float(np.clip(bottom(n, y), n.min(), n.max())))
wrong("2 for e", lambda n, y: bottom(n, y, back=np.exp2))
wrong("a tuple with the loss", lambda n, y: (bottom(n, y), 1.0))
wrong(
    "the lowest on a coarse grid of runs",
    lambda n, y: float(
        (g := np.geomspace(n.min(), n.max(), 9))[
            np.polyval(np.polyfit(np.log(n), y, 2), np.log(g)).argmin()
        ]
    ),
)
wrong("the first three runs", lambda n, y: bottom(n[:3], y[:3]))
right(
    "Polynomial.fit and the root of its slope",
    lambda n, y: float(np.exp(np.polynomial.Polynomial.fit(np.log(n), y, 2).deriv().roots()[0])),
)
right("base 2 throughout", lambda n, y: bottom(n, y, np.log2, np.exp2))

# --- Huber's loss

wrong, right = begin("check_huber")


def huber(
    e,
    d,
    inner=lambda s, d: s**2 / 2,
    outer=lambda s, d: d * (s - d / 2),
    inside=lambda s, d: s <= d,
):
    s = np.abs(e)
    return np.where(inside(s, d), inner(s, d), outer(s, d))


wrong("twice all", lambda e, d: 2 * huber(e, d))
wrong("the line without its slope", lambda e, d: huber(e, d, outer=lambda s, d: s - d / 2))
wrong("the line begins at 0", lambda e, d: huber(e, d, outer=lambda s, d: d * s))
wrong("the line jumps", lambda e, d: huber(e, d, outer=lambda s, d: d * (s - d)))
wrong("d²/2 forgotten a half", lambda e, d: huber(e, d, outer=lambda s, d: d * s - d**2))
wrong("flat beyond delta", lambda e, d: huber(e, d, outer=lambda s, d: d**2 / 2))
wrong("half the square everywhere", lambda e, d: e**2 / 2)
wrong("sign of the error", lambda e, d: np.where(e <= d, e**2 / 2, d * (e - d / 2)))
wrong("the two exchanged", lambda e, d: huber(e, d, inside=lambda s, d: s > d))
wrong("smooth L1", lambda e, d: huber(e, d) / d)
wrong("compared with the square of delta", lambda e, d: huber(e, d, inside=lambda s, d: s <= d**2))
wrong("the sign stays", lambda e, d: np.sign(e) * huber(e, d))
wrong("delta 1", lambda e, d: huber(e, 1.0))
right("clip", lambda e, d: (lambda c: c * (np.abs(e) - c / 2))(np.minimum(np.abs(e), d)))
right("a square and what is beyond", lambda e, d: e**2 / 2 - np.maximum(np.abs(e) - d, 0) ** 2 / 2)
right(
    "vectorize",
    lambda e, d: np.vectorize(lambda x: x * x / 2 if -d <= x <= d else d * abs(x) - d * d / 2)(e),
)
right(
    "torch",
    lambda e, d: torch.nn.functional.huber_loss(
        torch.from_numpy(e), torch.zeros_like(torch.from_numpy(e)), delta=float(d), reduction="none"
    ).numpy(),
)

# --- The compute-optimal model

wrong, right = begin("check_optimal")


def best(law, C, g=None, n=None, d=None):
    a, b = law.alpha, law.beta
    g = g(law) if g else (a * law.A / (b * law.B)) ** (1 / (a + b))
    n = n(law, C, g) if n else g * (C / 6) ** (b / (a + b))
    return float(n), float(d(n) if d else C / (6 * n))


wrong(
    "without 6",
    lambda w, C: best(
        w, C, n=lambda w, C, g: g * C ** (w.beta / (w.alpha + w.beta)), d=lambda n: C / n
    ),
)
wrong("6 forgotten in D", lambda w, C: best(w, C, d=lambda n: C / n))
wrong(
    "6 forgotten in N",
    lambda w, C: best(w, C, n=lambda w, C, g: g * C ** (w.beta / (w.alpha + w.beta))),
)
wrong(
    "alpha in the exponent",
    lambda w, C: best(w, C, n=lambda w, C, g: g * (C / 6) ** (w.alpha / (w.alpha + w.beta))),
)
wrong(
    "G without the exponents",
    lambda w, C: best(w, C, g=lambda w: (w.A / w.B) ** (1 / (w.alpha + w.beta))),
)
wrong("root of the compute", lambda w, C: best(w, C, n=lambda w, C, g: (C / 6) ** 0.5))
wrong(
    "A N^-alpha set equal to B D^-beta",
    lambda w, C: best(
        w, C, n=lambda w, C, g: (w.A / w.B * (C / 6) ** w.beta) ** (1 / (w.alpha + w.beta))
    ),
)
wrong("N alone", lambda w, C: best(w, C)[0])
wrong("the least loss too", lambda w, C: (*best(w, C), 2.0))
wrong(
    "a factor of G in D",
    lambda w, C: best(w, C, d=lambda n: (C / 6) ** (w.alpha / (w.alpha + w.beta))),
)
wrong(
    "coarse grid",
    lambda w, C: (lambda n: (float(n), float(C / 6 / n)))(
        (g := np.geomspace(1e5, 1e12, 15))[
            (w.A * g**-w.alpha + w.B * (C / 6 / g) ** -w.beta).argmin()
        ]
    ),
)


@right("a fine search by halving")
def _(law, flop):
    low, high = math.log(1e-3), math.log(flop)
    for _ in range(200):
        middle = (low + high) / 2
        n, d = math.exp(middle), flop / 6 / math.exp(middle)
        falls = law.alpha * law.A * n**-law.alpha > law.beta * law.B * d**-law.beta
        low, high = (middle, high) if falls else (low, middle)
    return math.exp(low), flop / 6 / math.exp(low)


right(
    "D first by symmetry, then N",
    lambda w, C: (lambda d: (C / (6 * d), d))(
        (w.beta * w.B / (w.alpha * w.A)) ** (1 / (w.alpha + w.beta))
        * (C / 6) ** (w.alpha / (w.alpha + w.beta))
    ),
)
right(
    "logarithms, numpy",
    lambda w, C: tuple(
        np.exp(
            [
                x := (np.log(w.alpha * w.A) - np.log(w.beta * w.B) + w.beta * np.log(C / 6))
                / (w.alpha + w.beta),
                np.log(C / 6) - x,
            ]
        )
    ),
)

# --- Your own law


def law(n, y, target, grid=None, floor=True, power=1, rounds=25, result=None, log=False):
    found = (INF, 0.0)
    for p in np.geomspace(0.05, 2, 60) if grid is None else grid:
        columns = np.stack([np.ones_like(y) * floor, n**-p], 1)
        w = np.ones_like(y)
        for _ in range(rounds):
            r = np.sqrt(w)
            (e, a), *_ = np.linalg.lstsq(columns * r[:, None], y * r, rcond=None)
            gap = np.abs(e * floor + a * n**-p - y)
            w = 1 / np.maximum(gap, 1e-4)
        value = e * floor + a * target**-p
        found = min(found, ((gap**power).sum(), result(e, a, p) if result else value))
    return float(found[1])


def fit_cases():
    dice = np.random.default_rng(5)
    n = np.geomspace(2e3, 5e5, 11) * dice.uniform(0.9, 1.1, 11)
    laws = [0.9 + 20 * n**-0.35, 1.4 + 60 * n**-0.5]
    bent = laws[0] + 0.7 * (np.arange(11) == 4)
    return [(n, y, 3e6) for y in (*laws, bent)]


wrong, right = exercise("lib.exercises.capstones_scaling", "check_my_fit", law, fit_cases)
wrong(
    "both: no floor, and squares",
    lambda n, y, t: law(n, y, t, floor=False, power=2, rounds=1),
)
wrong("no floor", lambda n, y, t: law(n, y, t, floor=False))
wrong("squares throughout", lambda n, y, t: law(n, y, t, power=2, rounds=1))
wrong("p = 0.5", lambda n, y, t: law(n, y, t, [0.5]))
wrong("p = 1", lambda n, y, t: law(n, y, t, [1.0]))
wrong("p = 0.34, as in Chinchilla's paper", lambda n, y, t: law(n, y, t, [0.34]))
wrong("p from 0.5 on", lambda n, y, t: law(n, y, t, np.geomspace(0.5, 2, 80)))
wrong("the floor", lambda n, y, t: law(n, y, t, result=lambda e, a, p: e))
wrong("what is above the floor", lambda n, y, t: law(n, y, t, result=lambda e, a, p: a * t**-p))
wrong("p is returned", lambda n, y, t: law(n, y, t, result=lambda e, a, p: p))
wrong("the loss of the largest run", lambda n, y, t: float(y[-1]))
wrong("the lowest loss", lambda n, y, t: float(y.min()))
wrong("the mean loss", lambda n, y, t: float(y.mean()))
wrong(
    "a line through the last two, on log axes",
    lambda n, y, t: float(
        np.exp(
            np.log(y[-1])
            + (np.log(y[-1]) - np.log(y[-2])) / np.log(n[-1] / n[-2]) * np.log(t / n[-1])
        )
    ),
)
wrong(
    "a power law by least squares on log axes",
    lambda n, y, t: float(np.exp(np.polyval(np.polyfit(np.log(n), np.log(y), 1), np.log(t)))),
)
wrong(
    "a parabola over ln N",
    lambda n, y, t: float(np.polyval(np.polyfit(np.log(n), y, 2), np.log(t))),
)
wrong(
    "a parabola on log axes",
    lambda n, y, t: float(np.exp(np.polyval(np.polyfit(np.log(n), np.log(y), 2), np.log(t)))),
)
wrong(
    "the lowest loss taken for the floor",
    lambda n, y, t: float(
        y.min()
        - 0.01
        + np.exp(np.polyval(np.polyfit(np.log(n), np.log(y - y.min() + 0.01), 1), np.log(t)))
    ),
)
wrong("interpolated", lambda n, y, t: float(np.interp(np.log(t), np.log(n), y)))
wrong("at a tenth of the target", lambda n, y, t: law(n, y, t / 10))
wrong(
    "an exponential",
    lambda n, y, t: law(n, y, t, result=lambda e, a, p: e + a * math.exp(-p * math.log(t) / 2)),
)
right("N in units of the target", lambda n, y, t: law(n / t, y, 1.0))


@right("weighted means by hand")
def _(parameters, loss, target):
    found = []
    for p in np.geomspace(0.05, 2, 60):
        x, w = parameters**-p, np.ones_like(loss)
        for _ in range(25):
            x_mean, y_mean = (w * x).sum() / w.sum(), (w * loss).sum() / w.sum()
            slope = (w * (x - x_mean) * (loss - y_mean)).sum() / (w * (x - x_mean) ** 2).sum()
            gap = np.abs(y_mean + slope * (x - x_mean) - loss)
            w = 1 / np.maximum(gap, 1e-4)
        found.append((gap.sum(), float(y_mean + slope * (target**-p - x_mean))))
    return min(found)[1]


@right("normal equations")
def _(parameters, loss, target):
    def fitted(p):
        x, w = np.stack([np.ones_like(loss), parameters**-p]), np.ones_like(loss)
        for _ in range(25):
            line = np.linalg.solve((w * x) @ x.T, (w * x) @ loss)
            gap = np.abs(line @ x - loss)
            w = 1 / np.maximum(gap, 1e-4)
        return gap.sum(), float(line @ [1, target**-p])

    return min(map(fitted, np.geomspace(0.05, 2, 60)))[1]
