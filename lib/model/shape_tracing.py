"""The dimensions of every tensor of a forward pass, in numbers and in letters, found by hooks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lib.model.config import ModelConfig
from lib.model.experts import Experts
from lib.model.routing import Routing
from lib.model.transformer import LanguageModel

# A twin of the model gets these sizes. No two products of them that occur in a model are equal, so
# that a size says which letters it is made of.
TWIN = {"B": 3, "T": 7, "C": 1009, "K": 2, "D": 22, "F": 2003, "V": 4001}


@dataclass(frozen=True)
class TensorDimensions:
    """One tensor: where it comes from, its shape, and the same in letters."""

    where: str
    shape: tuple[int, ...]
    letters: str

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return torch.Size(self.shape).numel()


def forward_dimensions(config: ModelConfig, batch: int, positions: int) -> list[TensorDimensions]:
    """Every tensor that a module or the attention kernel returns, for (batch, positions) ids.

    All layers are alike, so the first stands for all. Nothing is computed: the model is on torch's
    meta device, which knows only shapes, so that any model fits. Raises ValueError for experts,
    whose shapes depend on the tokens.
    """
    if config.n_experts is not None:
        raise ValueError("forward_dimensions needs n_experts=None: experts have no fixed shapes")
    shared = config.n_heads // config.n_kv_heads
    n_heads = TWIN["K"] * 5 if shared > 1 else TWIN["K"]
    square = config.d_model == config.n_heads * config.d_head
    no_window = dict(window=None, window_sinks=0, window_rope_base=None)
    twin = config.replace(
        vocab_size=TWIN["V"],
        context_length=max(TWIN["T"], 8),
        d_model=n_heads * TWIN["D"] if square else TWIN["C"],
        n_layers=1,
        n_heads=n_heads,
        n_kv_heads=TWIN["K"],
        d_head=TWIN["D"],
        d_ff=TWIN["F"],
        **no_window,
    )
    names = _names(twin, "K" if shared > 1 else "H")
    numbers = record_shapes(meta_model(config.replace(n_layers=1, **no_window)), batch, positions)
    letters = record_shapes(meta_model(twin), TWIN["B"], TWIN["T"])
    return [
        TensorDimensions(where, shape, " ".join(names[size] for size in sizes))
        for (where, shape), (_, sizes) in zip(numbers, letters, strict=True)
    ]


def _names(twin: ModelConfig, key_heads: str) -> dict[int, str]:
    """What each size in the twin is called. A letter takes precedence over a product."""
    heads, d_head = twin.n_heads, twin.d_head
    merged = f"(H+2{key_heads})·D" if key_heads == "K" else "3·H·D"
    products = {(heads + 2 * twin.n_kv_heads) * d_head: merged, heads * d_head: "H·D"}
    products |= {heads + 2 * twin.n_kv_heads: f"H+2{key_heads}"}
    products |= {twin.n_kv_heads * d_head: f"{key_heads}·D"}
    letters = {TWIN["B"]: "B", TWIN["T"]: "T", twin.d_model: "C", heads: "H", d_head: "D"}
    letters |= {twin.d_ff: "F", twin.vocab_size: "V", twin.n_kv_heads: key_heads, 1: "1"}
    return products | letters


class _RecordAttention(TorchFunctionMode):
    """Notes what goes into torch's attention kernel and what comes out: it is not a module."""

    def __init__(self, rows: list):
        super().__init__()
        self.rows = rows

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is F.scaled_dot_product_attention:
            for name, tensor in zip(("query", "key", "value"), args, strict=False):
                self.rows.append((f"block.attention: {name}", tuple(tensor.shape)))
            self.rows.append(("block.attention: head output", tuple(result.shape)))
        return result


class _WithoutNumbers(TorchFunctionMode):
    """Leaves out what would fill weights: on the meta device that is most of the time to build."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__module__", "") == nn.init.__name__:
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return function(*args, **(kwargs or {}))


def meta_model(config: ModelConfig) -> LanguageModel:
    """The model on torch's meta device: shapes without numbers, so that any model fits.

    With experts, one of them stands for all in a forward pass: which tokens each gets is not known
    without numbers, but a token enters and leaves each of them `d_model` wide.
    """
    with torch.device("meta"), _WithoutNumbers():
        model = LanguageModel(config).eval()
    for module in model.modules():
        if isinstance(module, Experts):
            module.mix = lambda tokens, routing, first=module.experts[0]: first(tokens)
    return model


@torch.no_grad()
def record_shapes(
    model: LanguageModel, batch: int, positions: int
) -> list[tuple[str, tuple[int, ...]]]:
    """(where, shape) of every tensor that a module of the first layer or attention's kernel gives.

    The model is one of `meta_model`, with one layer.
    """
    rows: list[tuple[str, tuple[int, ...]]] = [("ids", (batch, positions))]
    ids = torch.zeros(batch, positions, dtype=torch.long, device="meta")

    def note(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor | Routing) -> None:
            output = output.logits if isinstance(output, Routing) else output
            rows.append((name.replace("blocks.0", "block"), tuple(output.shape)))

        return hook

    for name, module in model.named_modules():
        inner = name and not isinstance(module, nn.ModuleList | nn.Dropout | nn.Identity)
        if inner and name not in ("blocks.0.attention", "blocks.0.feedforward"):
            module.register_forward_hook(note(name))
    with _RecordAttention(rows):
        model(ids)
    return rows
