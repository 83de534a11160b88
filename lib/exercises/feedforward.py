"""Exercises of chapter 5: a gated layer and its width; the experts' are in `routing`."""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lib.exercises.balancing import check_balancing_loss
from lib.exercises.capacity import check_kept
from lib.exercises.checking import Exercise, Probe
from lib.exercises.comparing import difference
from lib.exercises.routing import check_biased_weights, check_routing_weights

__all__ = [
    "check_balancing_loss", "check_biased_weights", "check_gated_width", "check_kept",
    "check_routing_weights", "check_swiglu", "gated_width", "swiglu",
]  # fmt: skip

ACTIVATIONS = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "relu": F.relu,
    "Squared ReLU": lambda z: F.relu(z).square(),
    "Leaky ReLU": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "A softmax": lambda z: z.softmax(-1),
    "Softplus": F.softplus,
    "The logarithm of the sigmoid": F.logsigmoid,
    "Hard Swish": F.hardswish,
    "again": lambda z: F.silu(F.silu(z)),
    "Mish": F.mish,
    "ELU": F.elu,
    "1.702": lambda z: z * torch.sigmoid(1.702 * z),
    "negative": lambda z: z * torch.sigmoid(-z),
    "tanh z": lambda z: z * torch.tanh(z),
    "softmax z": lambda z: z * z.softmax(-1),
    "square": lambda z: z.square() * torch.sigmoid(z),
    "twice": lambda z: z * torch.sigmoid(z).square(),
    "exp": lambda z: z / (1 + z.exp()),
    "none": lambda z: z,
}


READ = {
    "x": lambda x: x,
    "rms": lambda x: x * (x.square().mean(-1, True) + 1e-6).rsqrt(),
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "mean": lambda x: x.mean(0).expand_as(x),
}


def swiglu(
    x: Float[Tensor, "N C"],
    gate: Float[Tensor, "F C"],
    up: Float[Tensor, "F C"],
    down: Float[Tensor, "C F"],
    *,
    activation: str = "silu",
    place: str = "gate",
    join: str = "times",
    around: str = "none",
    read: str = "x",
) -> Float[Tensor, "N C"]:
    """A SwiGLU layer; weights as in nn.Linear, (out, in)."""
    act = ACTIVATIONS[activation]
    x = READ[read](x)
    g, u = x @ (act(gate) if place == "weights" else gate).T, x @ up.T
    g = act(g) if place in ("gate", "both", "gate_and_end") else g
    u = act(u) if place in ("up", "both") else u
    hidden = {
        "times": g * u, "plus": g + u, "gate": g, "up": u, "minus": g - u, "max": g.maximum(u),
        "g_u_g": g * u * (x @ gate.T),
    }[join]  # fmt: skip
    hidden = act(hidden) if place == "product" else hidden
    output = hidden @ down.T
    output = act(output) if place in ("end", "gate_and_end") else output
    return {
        "none": output, "x": output + x, "mean": output / len(gate),
        "root": output / len(gate) ** 0.5,
    }[around]  # fmt: skip


def _neurons(x: list, gate: list, up: list, down: list) -> tuple:
    """One token of one feature, and a neuron for each number."""
    column = lambda numbers: torch.tensor(numbers, dtype=torch.float32)[:, None]  # noqa: E731
    return torch.tensor([x], dtype=torch.float32), column(gate), column(up), column(down).T


def _layer_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.randn(*s, generator=generator) for s in [(n, c), (f, c), (f, c), (c, f)])
        for n, c, f in [(2, 3, 4), (5, 8, 6), (1, 4, 12)]
    ]


check_swiglu = Exercise(
    title="A SwiGLU layer",
    reference=swiglu,
    cases=_layer_cases,
    switches={
        "activation": {
            **{name: f"{name} stands where Swish, z · sigmoid(z), is asked for."
               for name in ACTIVATIONS if name[0].isupper() or name == "tanh"},
            "gelu": "This is GEGLU: GELU stands where Swish, z · sigmoid(z), is asked for.",
            "gelu_tanh": "This is GEGLU: GELU stands where Swish, z · sigmoid(z), is asked for.",
            "relu": "This is ReGLU: ReLU stands where Swish, z · sigmoid(z), is asked for.",
            "sigmoid": "This is GLU: the gate is a sigmoid. Swish is z · sigmoid(z).",
            "1.702": "z · sigmoid(1.702 z) approximates GELU: Swish is z · sigmoid(z).",
            "negative": "The sigmoid's sign is turned: Swish is z · sigmoid(z).",
            "tanh z": "It takes z · tanh(z): Swish is z · sigmoid(z).",
            "softmax z": "It takes z · softmax(z): Swish is z · sigmoid(z), each neuron alone.",
            "square": "It takes z² · sigmoid(z): Swish is z · sigmoid(z).",
            "twice": "It multiplies by the sigmoid twice: Swish is z · sigmoid(z).",
            "again": "Swish is taken twice.",
            "exp": "It takes z / (1 + e^z): Swish is z / (1 + e^(-z)).",
            "none": "The activation is missing: this is a bilinear layer.",
        },
        "place": {
            "up": "The activation stands on the wrong branch: it belongs to the gate, not to up.",
            "both": "Both branches go through the activation: only the gate should.",
            "product": "The activation stands on the product: it belongs to the gate alone.",
            "end": "The activation stands after the projection down: it belongs to the gate.",
            "weights": "The activation is taken of the gate's weights: take it of the product.",
            "gate_and_end": "The activation is applied once more after the projection down.",
        },
        "join": {
            "plus": "The branches are added; a gate multiplies, feature by feature.",
            "gate": "The branch up is not used: it is multiplied by the gate.",
            "up": "The gate is not used: this is the plain layer.",
            "minus": "The branches are subtracted; a gate multiplies, feature by feature.",
            "max": "The larger of both branches is taken; a gate multiplies.",
            "g_u_g": "The gate's number is multiplied in twice.",
        },
        "around": {
            "x": "x is added: the way around the layer belongs to the block.",
            "mean": "The sum over neurons is divided by their number.",
            "root": "The sum over neurons is divided by the root of their number.",
        },
        "read": {
            "rms": "x is normalized first: the norm stands before the layer, outside of it.",
            "layer norm": "x is normalized first: the norm stands before the layer, outside of it.",
            "mean": "All tokens are averaged first: each goes through the layer alone.",
        },
    },
    probes=[
        Probe("Of zeros the layer makes zeros: it has no biases.", _neurons([0], [1], [1], [1])),
        Probe(
            "Where up gives 0 the result is 0, whatever the gate is: the branches multiply.",
            _neurons([1], [2], [0], [1]),
        ),
        Probe(
            "Where the gate's number is 0 the result is 0, since Swish of 0 is 0.",
            _neurons([1], [0], [2], [1]),
        ),
        Probe(
            "One neuron with gate, up and down of 1 makes Swish(1) = 1 · sigmoid(1) = 0.731 of 1.",
            _neurons([1], [1], [1], [1]),
        ),
        Probe(
            "A gate of -2 gives Swish(-2) = -2 · sigmoid(-2) = -0.238: a little less than 0.",
            _neurons([1], [-2], [1], [1]),
        ),
        Probe(
            "up must enter as it is: 3 times as much there is 3 times as much in the result.",
            _neurons([1], [1], [3], [1]),
        ),
        Probe(
            "down must enter as it is: 5 there makes the result 5 times as large.",
            _neurons([1], [1], [1], [5]),
        ),
        Probe(
            "Each neuron has its own gate: two neurons give the sum of what each gives.",
            _neurons([1], [1, -2], [1, 3], [1, 1]),
        ),
        Probe("x must enter as it is: nothing is normalized.", _neurons([3], [1], [1], [1])),
        Probe("Large numbers go through as they are: nothing is cut off.",
              _neurons([1], [50], [-50], [1])),
        Probe("Each token goes through the layer alone, whatever the other tokens are.",
              (torch.tensor([[1.0], [-1.0]]), *_neurons([1], [2], [1], [1])[1:])),
    ],
    difficulty=1,
    minutes=8,
)  # fmt: skip


# The width that keeps the number of parameters

SHARES = {
    "2/3": lambda n: 2 * n // 3, "3/2": lambda n: 3 * n // 2, "1": lambda n: n,
    "1/3": lambda n: n // 3, "1/2": lambda n: n // 2, "4/3": lambda n: 4 * n // 3,
    "3/4": lambda n: 3 * n // 4, "8/3": lambda n: 8 * n // 3, "0.66": lambda n: int(0.66 * n),
    "0.67": lambda n: int(0.67 * n), "0.667": lambda n: int(0.667 * n),
    "0.666": lambda n: int(0.666 * n), "thirds": lambda n: n // 3 * 2, "2": lambda n: 2 * n,
    "up": lambda n: -(-2 * n // 3), "near": lambda n: (4 * n + 3) // 6,
    "thirds_up": lambda n: -(-n // 3) * 2, "exact": lambda n: Fraction(2 * n, 3),
}  # fmt: skip
ROUNDS = {
    "up": lambda n, m: -(-n // m) * m, "down": lambda n, m: n // m * m, "none": lambda n, m: n,
    "nearest": lambda n, m: math.floor(n / m + 0.5) * m, "next": lambda n, m: (n // m + 1) * m,
    "nearest_even": lambda n, m: round(n / m) * m, "count": lambda n, m: -(-n // m),
    "add": lambda n, m: n + m, "add_less": lambda n, m: n + m - 1,
    "and_more": lambda n, m: (-(-n // m) + 1) * m, "at_least": lambda n, m: max(n, m),
    "bits": lambda n, m: (int(n) + m - 1) & -m, "one less": lambda n, m: (n + m - 2) // m * m,
    "power": lambda n, m: 1 << max(0, math.ceil(n) - 1).bit_length(),
}  # fmt: skip


def gated_width(d_ff: int, multiple_of: int, *, share: str = "2/3", rounds: str = "up") -> int:
    """2/3 of `d_ff`, rounded down, then up to a multiple."""
    return int(ROUNDS[rounds](SHARES[share](d_ff), multiple_of))


check_gated_width = Exercise(
    title="The 2/3 rule",
    reference=gated_width,
    compare=lambda e, g: "It returns a float." if isinstance(g, float) else difference(e, g),
    cases=lambda seed: [
        (12, 1), (16384, 256), (3072, 64), (1000 + seed, 100), (10, 8), (5120, 256), (13, 7),
    ],
    switches={
        "rounds": {
            "down": "It rounds down; the width is rounded up to the next multiple.",
            "none": "2/3 is right; what is missing is to round up to a multiple of `multiple_of`.",
            "nearest": "It rounds to the nearest multiple; the width is rounded up.",
            "nearest_even": "It rounds to the nearest multiple; the width is rounded up.",
            "next": "A width that is a multiple already goes up to the next one: it should stay.",
            "count": "It returns how many multiples there are: multiply by `multiple_of`.",
            "add": "`multiple_of` is added: round up to a multiple of it.",
            "add_less": "`multiple_of` - 1 is added, but then the rest is not cut off.",
            "and_more": "It goes one multiple too far.",
            "at_least": "It is made at least `multiple_of`, but not a multiple of it.",
            "bits": "It rounds by bits: that is right for powers of 2 only.",
            "one less": "A width that is 1 above a multiple goes down: `multiple_of` - 1 must be "
            "added before the rest is cut off.",
            "power": "It goes up to a power of 2: a multiple of `multiple_of` is asked for.",
        },
        "share": {
            "3/2": "The fraction is upside down: three matrices must be narrower than two, by 2/3.",
            "1": "The width is rounded but not reduced: take 2/3 of it first.",
            "1/3": "It takes a third: three matrices of 2/3 hold what two whole ones do.",
            "1/2": "It takes half: three matrices of 2/3 hold what two whole ones do.",
            "4/3": "It takes 4/3: three matrices of 2/3 hold what two whole ones do.",
            "3/4": "It takes 3/4: three matrices of 2/3 hold what two whole ones do.",
            "8/3": "It takes 8/3: that is 2/3 of 4 d_model, but d_ff is given.",
            "2": "It doubles the width and does not divide by 3.",
            "0.66": "0.66 is not 2/3: divide by 3.",
            "0.667": "0.667 is not 2/3: divide by 3.",
            "0.67": "0.67 is not 2/3: divide by 3.",
            "0.666": "0.666 is not 2/3: divide by 3.",
            "thirds": "Multiply by 2 before you divide by 3: 11 // 3 · 2 is 6, not 7.",
            "thirds_up": "Multiply by 2 before you divide by 3, and round that down.",
            "up": "Two thirds are rounded up: the whole part is taken first.",
            "near": "Two thirds are rounded to the nearest number: the whole part is taken first.",
            "exact": "Two thirds are not cut to a whole number before they are rounded up.",
        },
    },
    probes=[
        Probe("Of 2/3 · d_ff first the whole part is taken, then it is rounded up.", (10, 2)),
        Probe("Multiply by 2 before you divide by 3: 11 // 3 · 2 is 6, not 7.", (11, 1)),
        Probe("With a multiple of 1 the width of 12 is 8, two thirds.", (12, 1)),
        Probe("Two thirds of 12 are a multiple of 4 already: the width stays 8.", (12, 4)),
        Probe("Two thirds of 12 are 8; the next multiple of 5 is 10.", (12, 5)),
        Probe("Two thirds of 15 are 10; the next multiple of 8 is 16, not 8.", (15, 8)),
    ],
    difficulty=1,
    minutes=6,
)  # fmt: skip
