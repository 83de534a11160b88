"""Attention: each position looks up what it needs at the positions before it."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lib.model.cache import KVCache
from lib.model.config import ModelConfig
from lib.model.masks import Mask, as_bias, causal_mask, window_mask
from lib.model.normalization import make_norm
from lib.model.positions import alibi_bias, apply_rope
from lib.model.sinks import add_sink_key, softmax_with_sinks

# Cosine and sine of every angle; a model with `window_rope_base` has a second pair for windows.
Rotary = tuple[Float[Tensor, "#B 1 T half_D"], ...]


@dataclass(frozen=True)
class AttentionSteps:
    """Every intermediate of one attention layer, for reading, drawing and checking.

    query, head_output: (B, H, T, D); key, value: (B, K, S, D); scores, scaled, capped, masked,
    weights: (B, H, T, S), for T query and S key positions. Without a soft-cap, capped is scaled.
    """

    query: Float[Tensor, "B H T D"]
    key: Float[Tensor, "B K S D"]
    value: Float[Tensor, "B K S D"]
    scores: Float[Tensor, "B H T S"]
    scaled: Float[Tensor, "B H T S"]
    capped: Float[Tensor, "B H T S"]
    masked: Float[Tensor, "B H T S"]
    weights: Float[Tensor, "B H T S"]
    head_output: Float[Tensor, "B H T D"]


def attention_steps(
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K S D"],
    value: Float[Tensor, "B K S D"],
    mask: Mask | None = None,
    softcap: float | None = None,
    sinks: Float[Tensor, "H"] | None = None,
    scale: float | None = None,
) -> AttentionSteps:
    """softmax(Q K^T / sqrt(D) + mask) V, one named step at a time.

    `mask`: True where a query may look, or numbers to add; None means causal. With K <
    H key/value heads, each serves H / K query heads. `softcap` squeezes scores into
    (-softcap, softcap), as in Gemma 2; `sinks` are the learned sinks of gpt-oss;
    `scale` replaces 1 / sqrt(D). Source: Vaswani et al. (2017), equation 1; Ainslie et
    al. (2023); Gemma Team (2024), section 2.
    """
    n_query, n_key = query.shape[-2], key.shape[-2]
    if mask is None:
        mask = causal_mask(n_query, n_key, query.device)
    shared = query.shape[1] // key.shape[1]
    key_per_query_head = repeat(key, "B K S D -> B (K G) S D", G=shared)
    value_per_query_head = repeat(value, "B K S D -> B (K G) S D", G=shared)

    scores = query @ key_per_query_head.transpose(-2, -1)
    scaled = scores / math.sqrt(query.shape[-1]) if scale is None else scores * scale
    capped = scaled if softcap is None else softcap * torch.tanh(scaled / softcap)
    masked = capped + as_bias(mask).to(capped.dtype)
    weights = masked.softmax(-1) if sinks is None else softmax_with_sinks(masked, sinks)
    head_output = weights @ value_per_query_head
    return AttentionSteps(
        query,
        key,
        value,
        scores,
        scaled,
        capped,
        masked,
        weights,
        head_output,
    )


def fused_attention(
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K S D"],
    value: Float[Tensor, "B K S D"],
    mask: Mask | None = None,
    dropout: float = 0.0,
    sinks: Float[Tensor, "H"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "B H T D"]:
    """The same result by torch's fused kernel, which never stores the (T, S) weights."""
    n_query, n_key = query.shape[-2], key.shape[-2]
    if n_query == 1 and mask is None and sinks is None:
        # One new token sees every key: its query heads can share a key head as if they were rows.
        grouped = query.unflatten(1, (key.shape[1], -1)).squeeze(3)  # B K G D
        output = F.scaled_dot_product_attention(grouped, key, value, dropout_p=dropout, scale=scale)
        return output.flatten(1, 2).unsqueeze(2)
    if mask is None and (n_query != n_key or sinks is not None):
        mask = causal_mask(n_query, n_key, query.device)
    if sinks is not None:
        key, value, mask = add_sink_key(key, value, mask, sinks)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


class Attention(nn.Module):
    """Multi-head, grouped-query (1 < n_kv_heads < n_heads) or multi-query attention.

    With a window, sinks, a soft-cap, QK-norm, rotary positions or ALiBi, as the config says.
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        width, d_head, bias = config.d_model, config.d_head, config.attention_bias
        self.layer, self.d_head, self.dropout = layer, d_head, config.dropout
        self.heads = (config.n_heads, config.n_kv_heads, config.n_kv_heads)  # H, K, K
        # W_q, W_k and W_v as one matrix: one product in place of three.
        self.query_key_value = nn.Linear(width, sum(self.heads) * d_head, bias)
        self.output = nn.Linear(config.n_heads * d_head, width, config.output_bias)
        self.norm_all_heads, self.query_norm, self.key_norm = config.qk_norm_all_heads, None, None
        if config.qk_norm:
            n_query, n_key, _ = self.heads if self.norm_all_heads else (1, 1, 1)
            self.query_norm = make_norm(config, n_query * d_head)
            self.key_norm = make_norm(config, n_key * d_head)
        self.window, self.n_sinks = config.layer_window(layer), config.window_sinks
        second = config.window_rope_base is not None and self.window is not None
        self.rotary = slice(2, 4) if second else slice(0, 2)
        self.rotates = layer not in config.nope_layers
        self.alibi = config.positions == "alibi"
        self.softcap, self.scale = config.attention_softcap, config.attention_scale
        self.sinks = nn.Parameter(torch.zeros(config.n_heads)) if config.learned_sinks else None

    def project(
        self, x: Float[Tensor, "B T C"], rotary: Rotary | None = None
    ) -> tuple[
        Float[Tensor, "B H T D"],
        Float[Tensor, "B K T D"],
        Float[Tensor, "B K T D"],
    ]:
        """Queries, keys and values: split into heads, normalized, rotated."""
        n_heads, n_kv_heads, _ = self.heads
        projected = self.query_key_value(x)
        if self.norm_all_heads:
            sizes = [n * self.d_head for n in self.heads]
            query, key, value = projected.split(sizes, dim=-1)
            query, key = self.query_norm(query), self.key_norm(key)
            projected = torch.cat([query, key, value], dim=-1)
        heads = projected.unflatten(-1, (-1, self.d_head)).transpose(1, 2)
        if self.query_norm is not None and not self.norm_all_heads:
            query, key, value = heads.split(self.heads, dim=1)
            query, key = self.query_norm(query), self.key_norm(key)
            heads = torch.cat([query, key, value], dim=1)
        query_key, value = heads.split((n_heads + n_kv_heads, n_kv_heads), dim=1)
        if rotary is not None and self.rotates:
            query_key = apply_rope(query_key, *rotary[self.rotary])
        query, key = query_key.split((n_heads, n_kv_heads), dim=1)
        return query, key, value

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        rotary: Rotary | None = None,
        mask: Bool[Tensor, "#B #H T S"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        query, key, value = self.project(x, rotary)
        if cache is not None:
            key, value = cache.append(self.layer, key, value)
        if self.window is not None or self.alibi:
            mask = self.layer_mask(x.shape[1], mask, cache)
        if self.softcap is None:
            dropout = self.dropout if self.training else 0.0
            sinks, scale = self.sinks, self.scale
            heads = fused_attention(query, key, value, mask, dropout, sinks, scale)
        else:  # torch has no fused kernel for it
            settings = (self.softcap, self.sinks, self.scale)
            heads = attention_steps(query, key, value, mask, *settings).head_output
        return self.output(heads.transpose(1, 2).flatten(2))

    def layer_mask(
        self,
        n_query: int,
        mask: Bool[Tensor, "#B #H T past_S"] | None = None,
        cache: KVCache | None = None,
    ) -> Mask | None:
        """What this layer's window and ALiBi make of the model's mask (None: no padding).

        Raises ValueError for `window_sinks` with padding, where the first tokens differ by row.
        """
        if mask is not None and self.n_sinks:
            raise ValueError("window_sinks needs texts of equal length, without padding")
        whole = cache is not None and cache.whole
        if n_query == 1 and mask is None and not (self.alibi or whole):
            return None  # the cache has dropped what the window hides
        past, device = cache.length if cache else 0, self.output.weight.device
        queries = torch.arange(past, past + n_query, device=device)
        keys = queries if cache is None else cache.key_positions(self.layer, n_query)
        visible = window_mask(queries, keys, self.window, self.n_sinks)[None, None]
        if mask is not None:
            visible = visible & mask[..., keys]
        if not self.alibi:
            return visible
        return alibi_bias(self.heads[0], queries, keys) + as_bias(visible)

    def steps(
        self,
        x: Float[Tensor, "B T C"],
        rotary: Rotary | None = None,
        mask: Bool[Tensor, "#B #H T S"] | None = None,
    ) -> AttentionSteps:
        """What `forward` computes, with every intermediate kept."""
        if self.window is not None or self.alibi:
            mask = self.layer_mask(x.shape[1], mask)
        settings = (self.softcap, self.sinks, self.scale)
        return attention_steps(*self.project(x, rotary), mask, *settings)
