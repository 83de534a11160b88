"""One configuration for every model in the course: GPT-2, Llama 3, Qwen3, SmolLM2."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from lib.model.rope_scaling import RopeScaling, Scaling
from lib.model.routing import RouterConfig
from lib.settings import require, require_all

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
    `learned_positions` adds a learned vector for each position beside what `positions` does.
    `norm_placement` says where each sublayer is normalized: its input (pre), the sum (post), input
    and output (sandwich), or output. `norm_unit_offset` and `norm_cast` are those of RMSNorm.
    `qk_norm` normalizes each head's queries and keys, with `qk_norm_all_heads` all heads at once.
    `window_rope_base` replaces `rope_base` in layers with a window, `scale_embeddings` multiplies
    embeddings by sqrt(d_model); they start with `embedding_std`.
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
    norm: Norm = "rmsnorm"
    norm_eps: float = 1e-5
    norm_placement: NormPlacement = "pre"
    norm_unit_offset: bool = False
    norm_cast: NormCast = "before scale"
    activation: Activation = "silu"
    gated: bool = True
    attention_bias: bool = False
    feedforward_bias: bool = False
    qk_norm: bool = False
    qk_norm_all_heads: bool = False
    window: int | tuple[int | None, ...] | None = None
    window_sinks: int = 0
    learned_sinks: bool = False
    attention_softcap: float | None = None
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
        require_all(self, RANGES, skip=("window", "dense_layers"))
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        if self.d_head is None:
            if self.d_model % self.n_heads:
                raise ValueError(
                    f"n_heads must divide d_model when d_head is not given, "
                    f"got d_model={self.d_model}, n_heads={self.n_heads}"
                )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_kv_heads must divide n_heads, got n_heads={self.n_heads}, "
                f"n_kv_heads={self.n_kv_heads}"
            )
        if self.positions == "rope" and self.d_head % 2:
            raise ValueError(f"d_head must be even for rotary positions, got {self.d_head}")
        self._check_attention()
        self._check_norm()
        self._check_experts()

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
        if not isinstance(self.rope_scaling, Scaling | None):
            raise ValueError(
                f"rope_scaling must be a scaling of lib.model.rope_scaling, "
                f"got {self.rope_scaling!r}"
            )
        if self.window_sinks and self.window is None:
            raise ValueError("window_sinks needs a window: without one every token stays visible")
        if self.window_rope_base is not None and self.window is None:
            raise ValueError("window_rope_base needs a window: it is for the layers that have one")
        if self.attention_softcap is not None and self.dropout:
            raise ValueError("attention_softcap with dropout is not supported")

    def _check_experts(self) -> None:
        if not isinstance(self.router, RouterConfig):
            raise ValueError(f"router must be a RouterConfig, got {self.router!r}")
        if not isinstance(self.dense_layers, (tuple, list)):
            raise ValueError(f"dense_layers must be a tuple, got {self.dense_layers!r}")
        object.__setattr__(self, "dense_layers", tuple(self.dense_layers))
        if self.n_experts is None:
            if self.d_expert is not None or self.dense_layers or self.n_shared_experts:
                raise ValueError("d_expert, n_shared_experts and dense_layers need n_experts")
            return
        if self.d_expert is None:
            object.__setattr__(self, "d_expert", self.d_ff)
        self.router.check(self.n_experts, self.n_active_experts)
        for layer in self.dense_layers:
            require("dense_layers", layer, f"[0, {self.n_layers - 1}]", whole=True)

    def has_experts(self, layer: int) -> bool:
        """Whether this layer's feed-forward part is made of experts."""
        return self.n_experts is not None and layer not in self.dense_layers

    def _check_norm(self) -> None:
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
        dense = tuple(layer for layer in self.dense_layers if layer < n_layers)
        return self.replace(n_layers=n_layers, window=window, dense_layers=dense)

    def replace(self, **changes) -> "ModelConfig":
        """A copy with some fields changed. Changing `n_heads` keeps `d_head` unless it is given."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def gpt2(cls, **changes) -> "ModelConfig":
        """GPT-2 small, 124,439,808 parameters (Radford et al., 2019)."""
        base = dict(
            vocab_size=50257,
            context_length=1024,
            d_model=768,
            n_layers=12,
            n_heads=12,
            d_ff=3072,
            positions="learned",
            norm="layernorm",
            activation="gelu_tanh",
            gated=False,
            attention_bias=True,
            feedforward_bias=True,
            tie_embeddings=True,
        )
        return cls(**(base | changes))

    @classmethod
    def llama3_8b(cls, **changes) -> "ModelConfig":
        """Llama 3 8B, 8,030,261,248 parameters (Grattafiori et al., 2024)."""
        base = dict(
            vocab_size=128_256,
            context_length=8192,
            d_model=4096,
            n_layers=32,
            n_heads=32,
            n_kv_heads=8,
            d_ff=14_336,
            rope_base=500_000.0,
        )
        return cls(**(base | changes))

    @classmethod
    def llama3_1_8b(cls, **changes) -> "ModelConfig":
        """Llama 3.1 8B: Llama 3 8B with rotary scaling and a context of 131,072."""
        return cls.llama3_8b(
            **({"context_length": 131_072, "rope_scaling": RopeScaling()} | changes)
        )

    @classmethod
    def qwen3_0_6b(cls, **changes) -> "ModelConfig":
        """Qwen3 0.6B, 596,049,920 parameters (Yang et al., 2025). Its d_head is not d_model/H."""
        base = dict(
            vocab_size=151_936,
            context_length=40_960,
            d_model=1024,
            n_layers=28,
            n_heads=16,
            n_kv_heads=8,
            d_head=128,
            d_ff=3072,
            rope_base=1_000_000.0,
            norm_eps=1e-6,
            qk_norm=True,
            tie_embeddings=True,
        )
        return cls(**(base | changes))

    @classmethod
    def smollm2_135m(cls, **changes) -> "ModelConfig":
        """SmolLM2 135M, 134,515,008 parameters (Ben Allal et al., 2025)."""
        base = dict(
            vocab_size=49_152,
            context_length=8192,
            d_model=576,
            n_layers=30,
            n_heads=9,
            n_kv_heads=3,
            d_ff=1536,
            rope_base=100_000.0,
            tie_embeddings=True,
        )
        return cls(**(base | changes))


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
    "embedding_std": "(0, inf)",
    "initial_std": "(0, inf)",
    "dropout": "[0, 1)",
    "n_experts": "[1, 100000]",
    "n_active_experts": "[1, 100000]",
    "n_shared_experts": "[0, 100000]",
    "d_expert": "[1, 1e9]",
}
