"""Multi-head latent attention: the cache keeps one short vector for all heads of a token.

Each token's keys and values are made from a latent vector of `d_latent` numbers, and the cache
keeps only that, with one small rotary key that all heads share. Rotation depends on the position,
so it cannot be part of what is made from the latent; hence the second key.
Source: DeepSeek-AI (2024), DeepSeek-V2, section 2.1 and appendix C.
"""

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lib.model.cache import KVCache
from lib.model.config import ModelConfig
from lib.model.latent_shapes import LatentConfig
from lib.model.masks import causal_mask
from lib.model.normalization import RMSNorm
from lib.model.positions import apply_rope_interleaved, rope_frequencies


class LatentCache:
    """Latents and rotary keys of the tokens so far, of one layer, in (B, capacity, ...) tensors."""

    def __init__(self, config: LatentConfig, batch_size: int, capacity: int):
        self.latent = torch.empty(batch_size, capacity, config.d_latent)
        self.rope_key = torch.empty(batch_size, capacity, config.d_rope)
        self.capacity, self.length = capacity, 0

    def append(
        self, latent: Float[Tensor, "B T R"], rope_key: Float[Tensor, "B T P"]
    ) -> tuple[Float[Tensor, "B S R"], Float[Tensor, "B S P"]]:
        """Store new tokens and return all so far. Raises ValueError if there is no room."""
        end = self.length + latent.shape[1]
        if end > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} positions, got {end}; create a larger one"
            )
        self.latent[:, self.length : end] = latent
        self.rope_key[:, self.length : end] = rope_key
        self.length = end
        return self.latent[:, :end], self.rope_key[:, :end]


class LatentAttention(nn.Module):
    """DeepSeek's attention, in two forms that give the same numbers.

    `forward` expands the latents to keys and values of every head; `forward_absorbed` never does:
    it moves the matrix that would make the keys over to the query, and the one that would make the
    values over to the output, so that all heads read the same latents, as in multi-query attention.
    """

    def __init__(self, config: LatentConfig, scale: float | None = None):
        super().__init__()
        self.config, self.scale = config, scale or 1 / math.sqrt(config.d_head)
        width, d_query = config.d_model, config.n_heads * (config.d_content + config.d_rope)
        d_latent, d_down = config.d_latent, config.d_query_latent
        self.query_down = nn.Linear(width, d_down, bias=False) if d_down else None
        self.query_norm = RMSNorm(d_down, config.norm_eps) if d_down else None
        self.query_up = nn.Linear(d_down or width, d_query, bias=False)
        self.latent_down = nn.Linear(width, d_latent + config.d_rope, bias=False)
        self.latent_norm = RMSNorm(d_latent, config.norm_eps)
        d_key_value = config.d_content + config.d_value
        self.latent_up = nn.Linear(d_latent, config.n_heads * d_key_value, bias=False)
        self.output = nn.Linear(config.n_heads * config.d_value, width, bias=False)

    def project(
        self,
        x: Float[Tensor, "B T C"],
        cos: Float[Tensor, "#B 1 T half_P"],
        sin: Float[Tensor, "#B 1 T half_P"],
    ) -> tuple[
        Float[Tensor, "B H T N"],
        Float[Tensor, "B H T P"],
        Float[Tensor, "B T R"],
        Float[Tensor, "B T P"],
    ]:
        """Content queries, rotated queries, latents and rotated keys of these tokens.

        `cos` and `sin` are those of the angles of the tokens' positions.
        """
        config = self.config
        low = x if self.query_down is None else self.query_norm(self.query_down(x))
        query = rearrange(self.query_up(low), "B T (H N) -> B H T N", H=config.n_heads)
        content, rope_query = query.split((config.d_content, config.d_rope), dim=-1)
        latent, rope_key = self.latent_down(x).split((config.d_latent, config.d_rope), dim=-1)
        rope_query = apply_rope_interleaved(rope_query, cos, sin)
        rope_key = apply_rope_interleaved(rope_key[:, None], cos, sin)[:, 0]
        return content, rope_query, self.latent_norm(latent), rope_key

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LatentCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """Causal attention over x and what the cache holds, by expanded keys and values."""
        return self.attend(*self._inputs(x, cache))

    def forward_absorbed(
        self, x: Float[Tensor, "B T C"], cache: LatentCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """The same without ever making a key or a value: q (W c) = (W^T q) c."""
        content, rope_query, latent, rope_key, mask = self._inputs(x, cache)
        key_up, value_up = self._up_matrices()
        latent_query = einsum(content, key_up, "B H T N, H N R -> B H T R")
        scores = einsum(latent_query, latent, "B H T R, B S R -> B H T S")
        scores = scores + einsum(rope_query, rope_key, "B H T P, B S P -> B H T S")
        scores = scores * self.scale
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        mixed = einsum(weights, latent, "B H T S, B S R -> B H T R")
        heads = einsum(mixed, value_up, "B H T R, H D R -> B H T D")
        return self.output(rearrange(heads, "B H T D -> B T (H D)"))

    def attend(
        self,
        content: Float[Tensor, "B H T N"],
        rope_query: Float[Tensor, "B H T P"],
        latent: Float[Tensor, "B S R"],
        rope_key: Float[Tensor, "B S P"],
        mask: Bool[Tensor, "#B #H T S"] | Bool[Tensor, "T S"],
    ) -> Float[Tensor, "B T C"]:
        """Expand the latents to keys and values of every head, and attend to them."""
        key, value = self._expand(latent)
        shared = rope_key[:, None].expand(-1, self.config.n_heads, -1, -1)
        query, key = torch.cat([content, rope_query], dim=-1), torch.cat([key, shared], dim=-1)
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale)
        return self.output(rearrange(heads, "B H T D -> B T (H D)"))

    def _inputs(
        self, x: Tensor, cache: LatentCache | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Bool[Tensor, "T S"]]:
        past = cache.length if cache else 0
        positions = torch.arange(past, past + x.shape[1], device=x.device)
        frequencies = rope_frequencies(self.config.d_rope, self.config.rope_base)
        angles = positions[None, None, :, None] * frequencies.to(x.device)
        content, rope_query, latent, rope_key = self.project(x, angles.cos(), angles.sin())
        if cache is not None:
            latent, rope_key = cache.append(latent, rope_key)
        mask = causal_mask(x.shape[1], latent.shape[1], x.device)
        return content, rope_query, latent, rope_key, mask

    def _up_matrices(self) -> tuple[Float[Tensor, "H N R"], Float[Tensor, "H D R"]]:
        both = rearrange(self.latent_up.weight, "(H O) R -> H O R", H=self.config.n_heads)
        key_up, value_up = both.split((self.config.d_content, self.config.d_value), dim=1)
        return key_up, value_up

    def _expand(
        self, latent: Float[Tensor, "B S R"]
    ) -> tuple[Float[Tensor, "B H S N"], Float[Tensor, "B H S D"]]:
        key_value = rearrange(self.latent_up(latent), "B S (H O) -> B H S O", H=self.config.n_heads)
        key, value = key_value.split((self.config.d_content, self.config.d_value), dim=-1)
        return key, value


class LatentLayer(LatentAttention):
    """Latent attention as a layer of a `LanguageModel`: the model's rotary tables, mask and cache.

    Where ordinary attention caches keys and values, this one caches latents and rotary keys.
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__(config.latent, config.attention_scale)
        self.layer = layer

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        rotary: tuple[Float[Tensor, "#B 1 T half_P"], ...],
        mask: Bool[Tensor, "#B #H T S"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        content, rope_query, latent, rope_key = self.project(x, *rotary)
        if cache is not None:
            kept = cache.append(self.layer, latent[:, None], rope_key[:, None])
            latent, rope_key = kept[0][:, 0], kept[1][:, 0]
        if mask is None:
            mask = causal_mask(x.shape[1], latent.shape[1], x.device)
        return self.attend(content, rope_query, latent, rope_key, mask)
