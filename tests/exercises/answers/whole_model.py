"""Answers to the capstones "Your norm in SmolLM2" and "Your whole transformer"."""

import math

import torch
import torch.nn.functional as F

from lib.model import LanguageModel, ModelConfig
from tests.exercises.answers import exercise

# --- Your norm in SmolLM2


def rms_norm(x, weight, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def norm_cases():
    torch.manual_seed(31)
    shapes = [(2, 3), (4, 8), (2, 3, 5)]
    return [(torch.randn(s) + 0.3, torch.randn(s[-1]), eps) for s in shapes for eps in (1e-5, 0.1)]


def scaled(mean=False, size=None, gain=lambda w: w):
    """RMSNorm with another size, mean or gain."""

    def my_norm(x, weight, eps):
        x = x - x.mean(-1, keepdim=True) if mean else x
        return x / size(x, eps) * gain(weight)

    size = size or (lambda x, eps: (x.square().mean(-1, keepdim=True) + eps).sqrt())
    return my_norm


wrong, right = exercise("lib.exercises.capstones_parts", "check_my_norm", rms_norm, norm_cases)
right(
    "vector_norm",
    lambda x, w, eps: (
        x
        / torch.sqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1] + eps)
        * w
    ),
)
right("float64", lambda x, w, eps: rms_norm(x.double(), w.double(), eps).to(x.dtype))
wrong("subtracts the mean", scaled(mean=True))
wrong("1 + weight", scaled(gain=lambda w: 1 + w))
wrong("no weight", scaled(gain=lambda w: 1))
wrong("divides by the weight", scaled(gain=lambda w: 1 / w))
for label, size in {
    "eps outside the root": lambda x, e: x.square().mean(-1, keepdim=True).sqrt() + e,
    "no eps": lambda x, e: x.square().mean(-1, keepdim=True).sqrt(),
    "an eps of its own": lambda x, e: (x.square().mean(-1, keepdim=True) + 1e-6).sqrt(),
    "no root": lambda x, e: x.square().mean(-1, keepdim=True) + e,
    "the sum of squares": lambda x, e: (x.square().sum(-1, keepdim=True) + e).sqrt(),
    "the standard deviation": lambda x, e: (x.var(-1, keepdim=True, correction=0) + e).sqrt(),
    "over everything": lambda x, e: (x.square().mean() + e).sqrt(),
    "over positions": lambda x, e: (x.square().mean(-2, keepdim=True) + e).sqrt(),
    "mean absolute value": lambda x, e: x.abs().mean(-1, keepdim=True) + e,
}.items():
    wrong(label, scaled(size=size))
wrong("the weight before the norm", lambda x, w, eps: rms_norm(x * w, torch.ones_like(w), eps))
wrong(
    "both: eps outside, 1 + weight",
    scaled(size=lambda x, e: x.square().mean(-1, keepdim=True).sqrt() + e, gain=lambda w: 1 + w),
)

# --- Your whole transformer


def slips(*names):
    """A transformer with these slips; without any it is right."""
    has = set(names).__contains__

    def norm(x, w, eps):
        x = x - x.mean(-1, keepdim=True) if has("mean subtracted") else x
        square = x.square().mean(-1, keepdim=True)
        if has("eps outside"):
            return x / (square.sqrt() + eps) * w
        size = torch.rsqrt(square + (0 if has("no eps") else eps))
        return x * size * (1 + w if has("gain 1 + w") else w)

    def my_model(weights, ids, config):
        n_heads, n_keys, d, t = config.n_heads, config.n_kv_heads, config.d_head, len(ids)
        base = 10_000.0 if has("base of 10,000") else config.rope_base
        angles = torch.arange(t)[:, None] * base ** (-torch.arange(0, d, 2) / d)
        angles = -angles if has("turned backward") else angles
        cos, sin = angles.cos(), angles.sin()

        def turn(x):
            if has("neighbors paired"):
                a, b = x[..., 0::2], x[..., 1::2]
                return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
            a, b = x.chunk(2, -1)
            sign = -1 if has("wrong sign") else 1
            return torch.cat([a * cos - b * sin, sign * (b * cos + sign * a * sin)], -1)

        def split(x):
            if has("D before H"):
                return x.view(t, d, -1).permute(2, 0, 1)
            return x.view(t, -1, d).transpose(0, 1)

        def part(n, name):
            return weights[f"blocks.{n}.{name}.weight"]

        x = weights["embedding.weight"][ids]
        x = x * x.shape[-1] ** 0.5 if has("embeddings scaled") else x
        names = ["attention_norm", "feedforward_norm"]
        names = names[::-1] if has("norms swapped") else names
        for n in range(config.n_layers - has("last layer left out")):
            came = x
            h = x if has("attention unnormalized") else norm(x, part(n, names[0]), config.norm_eps)
            made = (h @ part(n, "attention.query_key_value").T).split(
                (n_heads * d, n_keys * d, n_keys * d), -1
            )
            q, k, v = map(split, made)
            k, v = (v, k) if has("values before keys") else (k, v)
            if not has("no positions"):
                q, k = turn(q), k if has("keys not turned") else turn(k)
            v = turn(v) if has("values turned") else v
            shared = n_heads // n_keys
            if has("heads dealt in rounds"):
                k, v = k.repeat(shared, 1, 1), v.repeat(shared, 1, 1)
            else:
                k, v = k.repeat_interleave(shared, 0), v.repeat_interleave(shared, 0)
            scores = q @ k.mT / (1 if has("no scaling") else d**0.5)
            if not has("no mask"):
                scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
            found = scores.softmax(-1) @ v
            found = found if has("joined without transpose") else found.transpose(0, 1)
            written = found.reshape(t, -1) @ part(n, "attention.output").T
            x = written if has("no residual") else x + written
            h = came if has("parallel") else x
            h = norm(h, part(n, names[1]), config.norm_eps)
            gate, up = (h @ part(n, f"feedforward.{name}").T for name in ("gate", "up"))
            gate, up = (up, gate) if has("silu on up") else (gate, up)
            active = F.gelu(gate) if has("gelu") else F.silu(gate)
            written = (active * up) @ part(n, "feedforward.down").T
            x = written if has("no residual") else x + written
        x = x if has("no last norm") else norm(x, weights["final_norm.weight"], config.norm_eps)
        x = x[-1:] if has("last row only") else x
        return x @ weights["embedding.weight"].T

    return my_model


def model_cases():
    cases = []
    for seed, (length, n_kv_heads) in enumerate([(1, 1), (5, 2), (6, 4)]):
        torch.manual_seed(40 + seed)
        config = ModelConfig(
            vocab_size=11, context_length=8, d_model=16, n_layers=2 + seed % 2, n_heads=4, d_ff=12,
            n_kv_heads=n_kv_heads, d_head=6, tie_embeddings=True, initial_std=0.4,
            rope_base=500.0, norm_eps=0.05,
        )  # fmt: skip
        weights = {k: w.detach() for k, w in LanguageModel(config).state_dict().items()}
        weights = {k: w + 0.5 * torch.rand_like(w) for k, w in weights.items()}
        cases.append((weights, torch.randint(11, (length,)), config))
    return cases


wrong, right = exercise("lib.exercises.capstones_model", "check_my_model", slips(), model_cases)


@right("complex rotation, a loop over heads, torch's own norm")
def _(weights, ids, config):
    n_heads, n_keys, d, t = config.n_heads, config.n_kv_heads, config.d_head, len(ids)

    def norm(x, w):
        return F.rms_norm(x, (x.shape[-1],), w, config.norm_eps)

    frequencies = config.rope_base ** (-torch.arange(d // 2) / (d // 2))
    phase = torch.exp(1j * torch.arange(t)[:, None] * frequencies)[:, None]

    def turn(x):
        z = torch.complex(x[..., : d // 2].contiguous(), x[..., d // 2 :].contiguous()) * phase
        return torch.cat([z.real, z.imag], -1)

    x = F.embedding(ids, weights["embedding.weight"])
    for n in range(config.n_layers):
        start = f"blocks.{n}."
        p = {k.removeprefix(start): w for k, w in weights.items() if k.startswith(start)}
        made = norm(x, p["attention_norm.weight"]) @ p["attention.query_key_value.weight"].T
        q, k, v = made.view(t, -1, d).split((n_heads, n_keys, n_keys), 1)
        q, k, heads = turn(q), turn(k), []
        for h in range(n_heads):
            scores = torch.einsum("td,sd->ts", q[:, h], k[:, h * n_keys // n_heads]) / math.sqrt(d)
            scores = scores + torch.full((t, t), -math.inf).triu(1)
            heads.append(scores.softmax(-1) @ v[:, h * n_keys // n_heads])
        x = x + torch.cat(heads, -1) @ p["attention.output.weight"].T
        y = norm(x, p["feedforward_norm.weight"])
        gate, up = y @ p["feedforward.gate.weight"].T, y @ p["feedforward.up.weight"].T
        x = x + (F.silu(gate) * up) @ p["feedforward.down.weight"].T
    return norm(x, weights["final_norm.weight"]) @ weights["embedding.weight"].T


@right("float64")
def _(weights, ids, config):
    return slips()({k: w.double() for k, w in weights.items()}, ids, config)


for label in (
    "no last norm", "neighbors paired", "no positions", "turned backward", "wrong sign",
    "base of 10,000", "no mask", "no scaling", "heads dealt in rounds", "values before keys",
    "gelu", "silu on up", "no residual", "values turned", "keys not turned", "norms swapped",
    "last layer left out", "last row only", "mean subtracted", "no eps", "eps outside", "parallel",
    "gain 1 + w", "embeddings scaled", "D before H", "joined without transpose",
    "attention unnormalized",
):  # fmt: skip
    wrong(label, slips(label))
wrong("both: neighbors paired, no last norm", slips("neighbors paired", "no last norm"))
wrong("both: heads dealt in rounds, gelu", slips("heads dealt in rounds", "gelu"))
