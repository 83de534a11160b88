"""One configuration for every model in the course: GPT-2, Llama 3, Qwen3, SmolLM2."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch

from lib.model import presets
from lib.model.latent_shapes import LatentConfig
from lib.model.rope_scaling import FactorScaling, Scaling
from lib.model.routing import RouterConfig
from lib.settings import require, require_all, require_kind, shortened

Positions = Literal["learned", "sinusoidal", "rope", "alibi", "none"]
Norm = Literal["layernorm", "rmsnorm", "batchnorm", "dynamic_tanh"]
NormPlacement = Literal["pre", "post", "sandwich", "output"]
NormCast = Literal["before scale", "after scale"]
Activation = Literal[
    "relu", "squared_relu", "gelu", "gelu_tanh", "gelu_sigmoid", "silu", "sigmoid", "identity"
]


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder-only transformer.

    Left as None, `n_kv_heads` becomes `n_heads` and `d_head` becomes `d_model / n_heads`. `window`
    is how many positions a query sees, itself among them: one number for all layers, or one for
    each (None: all positions); `window_sinks` first tokens stay visible. `learned_sinks` gives each
    head a logit that takes attention and returns nothing; `attention_softcap` bounds the scores.
    `attention_scale` replaces 1 / sqrt(d_head); `attention_output_bias` is `attention_bias` unless
    given. `learned_positions` adds a learned vector for each position beside what `positions` does.
    Rotary positions turn the first `d_rotary` features of a head (None: all), but in `nope_layers`.
    `norm_placement` says where each sublayer is normalized: its input (pre), the sum (post), input
    and output (sandwich), or output. With `parallel_residual` attention and feed-forward read the
    same stream. `norm_unit_offset` and `norm_cast` are those of RMSNorm.
    `qk_norm` normalizes each head's queries and keys, with `qk_norm_all_heads` all heads at once.
    `window_rope_base` replaces `rope_base` in layers with a window, `scale_embeddings` multiplies
    embeddings by sqrt(d_model); they start with `embedding_std`.
    With `latent` attention is DeepSeek's, whose queries and keys are `d_head` wide.
    `gate_limit` bounds both sides of a gated product, and adds 1 to what is gated (gpt-oss).
    With `n_experts` the feed-forward layers, except in `dense_layers`, are experts `d_expert` wide
    (None: `d_ff`): each token uses `n_active_experts` of them, and all `n_shared_experts`.
    `initial_std` is the spread of matrices before training; 0.02 is GPT-2's.
    Raises ValueError if a size or a combination of sizes makes no model.
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    n_kv_heads: int | None = None
    d_head: int | None = None
    positions: Positions = "rope"
    learned_positions: bool = False
    rope_base: float = 10_000.0
    rope_scaling: Scaling | None = None
    window_rope_base: float | None = None
    d_rotary: int | None = None
    nope_layers: tuple[int, ...] = ()
    norm: Norm = "rmsnorm"
    norm_eps: float = 1e-5
    norm_placement: NormPlacement = "pre"
    parallel_residual: bool = False
    norm_unit_offset: bool = False
    norm_cast: NormCast = "before scale"
    activation: Activation = "silu"
    gated: bool = True
    gate_limit: float | None = None
    attention_bias: bool = False
    attention_output_bias: bool | None = None
    feedforward_bias: bool = False
    qk_norm: bool = False
    qk_norm_all_heads: bool = False
    window: int | tuple[int | None, ...] | None = None
    window_sinks: int = 0
    learned_sinks: bool = False
    attention_softcap: float | None = None
    attention_scale: float | None = None
    latent: LatentConfig | None = None
    tie_embeddings: bool = False
    scale_embeddings: bool = False
    embedding_std: float = 0.02
    dropout: float = 0.0
    n_experts: int | None = None
    n_active_experts: int = 2
    n_shared_experts: int = 0
    d_expert: int | None = None
    dense_layers: tuple[int, ...] = ()
    router: RouterConfig = RouterConfig()  # noqa: RUF009 (frozen)
    initial_std: float = 0.02

    def __post_init__(self):
        require_all(self, RANGES, skip=("window", "dense_layers", "nope_layers"))
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        if self.d_head is None:
            if self.d_model % self.n_heads:
                raise ValueError(
                    f"n_heads must divide d_model when d_head is not given, "
                    f"got d_model={self.d_model}, n_heads={self.n_heads}"
                )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.latent is not None:
            self._check_latent()
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_kv_heads must divide n_heads, got n_heads={self.n_heads}, "
                f"n_kv_heads={self.n_kv_heads}"
            )
        self._check_positions()
        self._check_attention()
        self._check_norm()
        if self.gate_limit is not None and not self.gated:
            raise ValueError("gate_limit needs gated=True")
        self._check_experts()

    def _check_positions(self) -> None:
        rotary = self.positions == "rope"
        if rotary and self.d_head % 2:
            raise ValueError(f"d_head must be even for rotary positions, got {self.d_head}")
        if self.d_rotary is not None:
            require("d_rotary", self.d_rotary, f"[2, {self.d_head}]", whole=True)
            if not rotary or self.d_rotary % 2:
                raise ValueError(
                    f"d_rotary must be even, for positions='rope', got {self.d_rotary} for "
                    f"{self.positions!r}"
                )
        self._check_layers("nope_layers")
        if self.nope_layers and not rotary:
            raise ValueError(f"nope_layers are for positions='rope', got {self.positions!r}")
        if not isinstance(self.rope_scaling, Scaling | None):
            raise ValueError(
                "rope_scaling must be one of lib.model.rope_scaling, got "
                f"{shortened(self.rope_scaling)}"
            )
        if isinstance(self.rope_scaling, FactorScaling):  # raises if their number is wrong
            self.rope_scaling.scale(torch.ones((self.d_rotary or self.d_head) // 2), self.rope_base)
        if self.window_rope_base is not None and self.window is None:
            raise ValueError("window_rope_base needs a window: it is for the layers that have one")

    def _check_latent(self) -> None:
        """Latent attention has its own widths, and none of the other kinds of attention."""
        require_kind("latent", self.latent, LatentConfig)
        same = ("d_model", "n_heads", "d_head")
        other = [name for name in same if getattr(self, name) != getattr(self.latent, name)]
        other += ["d_rotary"] if self.d_rotary != self.latent.d_rope else []
        plain = (self.n_kv_heads, self.positions) == (self.n_heads, "rope")
        extras = (self.window, self.attention_softcap, self.dropout or None)
        flags = (self.qk_norm, self.learned_sinks, self.attention_bias, self.output_bias)
        if other or not plain or any(flags) or extras != (None,) * 3 or self.nope_layers:
            raise ValueError(
                "latent attention takes rotary positions, and no window, sinks, biases, QK-norm, "
                f"soft-cap or dropout; its {', '.join(same)} are the model's (other: {other})"
            )

    def _check_layers(self, name: str) -> None:
        """A tuple of numbers of layers."""
        layers = getattr(self, name)
        if not isinstance(layers, (tuple, list)):
            raise ValueError(f"{name} must be a tuple of layers, got {shortened(layers)}")
        for layer in layers:
            require(name, layer, f"[0, {self.n_layers - 1}]", whole=True)
        object.__setattr__(self, name, tuple(layers))

    def _check_attention(self) -> None:
        if isinstance(self.window, (tuple, list)):
            object.__setattr__(self, "window", tuple(self.window))
            if len(self.window) != self.n_layers:
                raise ValueError(
                    f"window must give one value for each of {self.n_layers} layers, "
                    f"got {len(self.window)}"
                )
        for window in self.window if isinstance(self.window, tuple) else (self.window,):
            if window is not None:
                require("window", window, RANGES["window"], whole=True)
        if self.window_sinks and self.window is None:
            raise ValueError("window_sinks needs a window: without one every token stays visible")
        if self.attention_softcap is not None and self.dropout:
            raise ValueError("attention_softcap with dropout is not supported")

    def _check_experts(self) -> None:
        require_kind("router", self.router, RouterConfig)
        self._check_layers("dense_layers")
        if self.n_experts is None:
            if self.d_expert is not None or self.dense_layers or self.n_shared_experts:
                raise ValueError("d_expert, n_shared_experts and dense_layers need n_experts")
            return
        if self.d_expert is None:
            object.__setattr__(self, "d_expert", self.d_ff)
        self.router.check(self.n_experts, self.n_active_experts)

    @property
    def output_bias(self) -> bool:
        """Whether the matrix that attention writes with has a bias."""
        given = self.attention_output_bias
        return self.attention_bias if given is None else given

    @property
    def value_width(self) -> int:
        """How wide a head's value is."""
        return self.d_head if self.latent is None else self.latent.d_value

    @property
    def cache_shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(heads, width) of what the cache keeps of a token and layer: keys, and values."""
        if self.latent is not None:  # latents and rotary keys, one for all heads
            return (1, self.latent.d_latent), (1, self.latent.d_rope)
        return ((self.n_kv_heads, self.d_head),) * 2

    def has_experts(self, layer: int) -> bool:
        """Whether this layer's feed-forward part is made of experts."""
        return self.n_experts is not None and layer not in self.dense_layers

    def _check_norm(self) -> None:
        if self.parallel_residual and self.norm_placement != "pre":
            raise ValueError(
                f"parallel_residual needs norm_placement='pre', got {self.norm_placement!r}"
            )
        if self.norm_unit_offset and (self.norm, self.norm_cast) != ("rmsnorm", "after scale"):
            raise ValueError(
                "norm_unit_offset needs norm='rmsnorm' and norm_cast='after scale', "
                f"got {self.norm!r} and {self.norm_cast!r}"
            )
        if self.qk_norm_all_heads and not self.qk_norm:
            raise ValueError("qk_norm_all_heads needs qk_norm=True")

    def layer_window(self, layer: int) -> int | None:
        """How many positions a query of this layer sees, itself among them; None: all."""
        return self.window[layer] if isinstance(self.window, tuple) else self.window

    def with_layers(self, n_layers: int) -> "ModelConfig":
        """The configuration of the first layers alone; settings that differ by layer are cut along.

        Raises ValueError unless 1 <= n_layers <= the model's.
        """
        require("n_layers", n_layers, f"[1, {self.n_layers}]", whole=True)
        window = self.window[:n_layers] if isinstance(self.window, tuple) else self.window
        dense, nope = (
            tuple(layer for layer in layers if layer < n_layers)
            for layers in (self.dense_layers, self.nope_layers)
        )
        return self.replace(n_layers=n_layers, window=window, dense_layers=dense, nope_layers=nope)

    def replace(self, **changes) -> "ModelConfig":
        """A copy with some fields changed. Changing `n_heads` keeps `d_head` unless it is given."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def gpt2(cls, **changes) -> "ModelConfig":
        """GPT-2 small, 124,439,808 parameters (Radford et al., 2019)."""
        return cls(**(presets.GPT2 | changes))

    @classmethod
    def llama3_8b(cls, **changes) -> "ModelConfig":
        """Llama 3 8B, 8,030,261,248 parameters (Grattafiori et al., 2024)."""
        return cls(**(presets.LLAMA3_8B | changes))

    @classmethod
    def qwen3_0_6b(cls, **changes) -> "ModelConfig":
        """Qwen3 0.6B, 596,049,920 parameters (Yang et al., 2025). Its d_head is not d_model/H."""
        return cls(**(presets.QWEN3_0_6B | changes))

    @classmethod
    def smollm2_135m(cls, **changes) -> "ModelConfig":
        """SmolLM2 135M, 134,515,008 parameters (Ben Allal et al., 2025)."""
        return cls(**(presets.SMOLLM2_135M | changes))


# Sizes far above those of any model are refused, since loops over them would take hours.
RANGES = {
    "vocab_size": "[1, 1e9]",
    "context_length": "[1, 1e9]",
    "d_model": "[1, 1e9]",
    "n_layers": "[1, 10000]",
    "n_heads": "[1, 1e6]",
    "n_kv_heads": "[1, 1e6]",
    "d_head": "[1, 1e9]",
    "d_ff": "[1, 1e9]",
    "rope_base": "(1, inf)",
    "window_rope_base": "(1, inf)",
    "norm_eps": "(0, inf)",
    "window": "[1, inf)",
    "window_sinks": "[0, inf)",
    "attention_softcap": "(0, inf)",
    "attention_scale": "(0, inf)",
    "gate_limit": "(0, inf)",
    "embedding_std": "(0, inf)",
    "initial_std": "(0, inf)",
    "dropout": "[0, 1)",
    "n_experts": "[1, 100000]",
    "n_active_experts": "[1, 100000]",
    "n_shared_experts": "[0, 100000]",
    "d_expert": "[1, 1e9]",
}
