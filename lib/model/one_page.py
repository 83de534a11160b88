"""A model on one page: the forward pass of a configuration as a few lines of Python that run.

`one_page` writes only the lines that a configuration needs, so that the pages of two models show,
line by line, what one has and the other has not (`changed_lines`). `run_page` runs a page with a
model's weights; the tests hold every page from GPT-2 to Qwen3 to `LanguageModel`.
"""

import difflib
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.model.config import ModelConfig

SIZES = ("vocab_size", "context_length", "d_model", "n_layers", "n_heads", "d_ff", "n_kv_heads")
PARTS = ("positions", "norm", "activation", "gated", "attention_bias", "feedforward_bias")
OTHERS = ("d_head", "rope_base", "norm_eps", "qk_norm", "tie_embeddings")
ACTIVATIONS = {"relu": "F.relu({})", "gelu": "F.gelu({})", "silu": "F.silu({})"}
ACTIVATIONS["gelu_tanh"] = 'F.gelu({}, approximate="tanh")'


def one_page(config: ModelConfig) -> str:
    """The forward pass of a model, as the text of a function `forward(ids, weights)`.

    `weights` maps names to tensors, as `page_weights` gives them. Raises ValueError for a
    configuration with a part that no step from GPT-2 to Qwen3 has, such as experts or a window.
    """
    _check(config)
    rope = config.positions == "rope"
    sizes = (config.d_model, config.n_heads, config.n_kv_heads, config.d_head, config.norm_eps)
    lines = _rotation() if rope else []
    lines += [
        "def forward(ids, weights):",
        f"    C, H, K, D, eps = {', '.join(map(str, sizes))}",
        "    T = ids.shape[1]",
        '    x = weights["embedding"][ids]',
    ]
    if rope:
        turns = f"{config.rope_base} ** (torch.arange(0, D, 2) / D)"
        lines.append(f"    angle = torch.arange(T)[:, None] / {turns}")
    else:
        lines.append('    x = x + weights["position"][:T]')
    lines.append(f"    for w in layers(weights, {config.n_layers}):")
    for line in _attention(config, rope) + _feedforward(config):
        lines.append(f"        {line}")
    head = "embedding" if config.tie_embeddings else "head"
    lines.append(f"    x = {_norm(config, 'final_norm', 'weights')}")
    lines.append(f'    return x @ weights["{head}"].T')
    return "\n".join(lines)


def _rotation() -> list[str]:
    return [
        "def rotate(x, angle):",
        "    a, b, cos, sin = *x.chunk(2, -1), angle.cos(), angle.sin()",
        "    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)",
        "",
        "",
    ]


def _attention(config: ModelConfig, rope: bool) -> list[str]:
    bias = config.attention_bias
    lines = [
        f"h = {_norm(config, 'attention_norm', 'w')}",
        f"h = {_linear('attention.query_key_value', bias)}",
        "q, k, v = h.unflatten(-1, (H + 2 * K, D)).transpose(1, 2).split([H, K, K], 1)",
    ]
    if config.qk_norm:
        for name, letter in (("query_norm", "q"), ("key_norm", "k")):
            lines.append(f'{letter} = F.rms_norm({letter}, [D], w["attention.{name}"], eps)')
    if rope:
        lines.append("q, k = rotate(q, angle), rotate(k, angle)")
    if config.n_kv_heads != config.n_heads:
        lines.append("k, v = k.repeat_interleave(H // K, 1), v.repeat_interleave(H // K, 1)")
    return [
        *lines,
        "scores = q @ k.mT / D**0.5",
        "scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf)",
        "h = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)",
        f"x = x + {_linear('attention.output', bias)}",
    ]


def _feedforward(config: ModelConfig) -> list[str]:
    bias, activation = config.feedforward_bias, ACTIVATIONS[config.activation]
    up = _linear("feedforward.up", bias)
    lines = [f"h = {_norm(config, 'feedforward_norm', 'w')}"]
    if config.gated:
        lines.append("gate = " + activation.format(_linear("feedforward.gate", bias)))
        lines.append(f"h = gate * ({up})")
    else:
        lines += [f"h = {up}", "h = " + activation.format("h")]
    return [*lines, f"x = x + {_linear('feedforward.down', bias)}"]


def _norm(config: ModelConfig, name: str, where: str) -> str:
    weight = f'{where}["{name}"]'
    if config.norm == "rmsnorm":
        return f"F.rms_norm(x, [C], {weight}, eps)"
    return f'F.layer_norm(x, [C], {weight}, {where}["{name}.bias"], eps)'


def _linear(name: str, bias: bool) -> str:
    return f'h @ w["{name}"].T' + (f' + w["{name}.bias"]' if bias else "")


def _check(config: ModelConfig) -> None:
    known = {name: getattr(config, name) for name in (*SIZES, *PARTS, *OTHERS)}
    plain = ModelConfig(**known)
    for name in vars(config):
        if getattr(config, name) != getattr(plain, name) and name not in ("dropout", "initial_std"):
            raise ValueError(
                f"one page has no line for {name}={getattr(config, name)!r}; use the model itself"
            )
    choices = {"positions": ("rope", "learned"), "norm": ("layernorm", "rmsnorm")}
    for name, allowed in (choices | {"activation": tuple(ACTIVATIONS)}).items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {getattr(config, name)!r}")
    if config.qk_norm and config.norm != "rmsnorm":
        raise ValueError(f"qk_norm needs norm='rmsnorm' here, got {config.norm!r}")


def page_weights(model: nn.Module) -> dict[str, Tensor]:
    """A model's weights by name; the name of a matrix or gain goes without `.weight`."""
    return {name.removesuffix(".weight"): w.detach() for name, w in model.state_dict().items()}


def layers(weights: Mapping[str, Tensor], n_layers: int) -> list[dict[str, Tensor]]:
    """The weights of each block, without its number in their names."""
    found: list[dict[str, Tensor]] = [{} for _ in range(n_layers)]
    for name, weight in weights.items():
        if name.startswith("blocks."):
            number, own = name.removeprefix("blocks.").split(".", 1)
            found[int(number)][own] = weight
    return found


def run_page(
    page: str, ids: Int[Tensor, "B T"], weights: Mapping[str, Tensor]
) -> Float[Tensor, "B T V"]:
    """What the lines of a page compute: the logits of the next token after each position."""
    names = {"torch": torch, "F": F, "layers": layers}
    exec(page, names)  # our own text, from `one_page`
    return names["forward"](ids, weights)


def changed_lines(before: str, after: str) -> str:
    """The lines of the second page that the first has not (+), and those that it alone has (-)."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return "\n".join(line.rstrip() for line in lines if line[0] in "+-" and line[2:].strip())
