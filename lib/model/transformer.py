"""The transformer: embed, then let attention and feed-forward layers write to a residual stream."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib.model.attention import Attention, AttentionSteps, Rotary
from lib.model.cache import KVCache
from lib.model.config import ModelConfig
from lib.model.experts import make_feedforward
from lib.model.inputs import PaddingMask, as_mask, check_ids, check_length
from lib.model.latent_attention import LatentLayer
from lib.model.masks import causal_mask
from lib.model.normalization import make_norm
from lib.model.positions import make_positions, rope_tables
from lib.settings import require


class Block(nn.Module):
    """One layer: attention, then feed-forward, each with a way around it for the residual stream.

    What a sublayer f makes of x, by `config.norm_placement`: x + f(norm(x)) (pre), norm(x + f(x))
    (post), x + norm(f(norm(x))) (sandwich), x + norm(f(x)) (output). A parallel block writes
    attention(norm(x)) and feedforward(norm(x)) at once (GPT-J; Black et al., 2022, GPT-NeoX-20B).
    Source: post, Vaswani et al. (2017), section 3.1; pre, Radford et al. (2019), section 2.3;
    sandwich, Gemma 3 (2025); output, OLMo 2 (2025), section 3.
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        before = config.norm_placement in ("pre", "sandwich")
        self.after, self.post = config.norm_placement != "pre", config.norm_placement == "post"
        self.attention_norm = make_norm(config) if before else nn.Identity()
        kind = Attention if config.latent is None else LatentLayer
        self.attention = kind(config, layer)
        self.attention_output_norm = make_norm(config) if self.after else None
        self.feedforward_norm = make_norm(config) if before else nn.Identity()
        self.feedforward = make_feedforward(config, layer)
        self.feedforward_output_norm = make_norm(config) if self.after else None
        self.dropout = nn.Dropout(config.dropout)
        self.parallel = config.parallel_residual

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        rotary: Rotary | None = None,
        mask: Bool[Tensor, "#B 1 T S"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        written = self.attention(self.attention_norm(x), rotary, mask, cache)
        if self.parallel:
            beside = self.feedforward(self.feedforward_norm(x))
            return x + self.dropout(written) + self.dropout(beside)
        x = self.add(x, written, self.attention_output_norm)
        written = self.feedforward(self.feedforward_norm(x))
        return self.add(x, written, self.feedforward_output_norm)

    def add(
        self,
        x: Float[Tensor, "B T C"],
        written: Float[Tensor, "B T C"],
        norm: nn.Module | None,
    ) -> Float[Tensor, "B T C"]:
        """The stream with what a sublayer wrote, normalized as the placement says."""
        if norm is None:
            return x + self.dropout(written)
        if self.post:
            return norm(x + self.dropout(written))
        return x + self.dropout(norm(written))


class LanguageModel(nn.Module):
    """Token ids in, one score (logit) for every word of the vocabulary out, at each position."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position = make_positions(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        # After the last block of a post-norm model comes no other norm: its sum is normalized.
        self.final_norm = nn.Identity() if config.norm_placement == "post" else make_norm(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.initialize()
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    @torch.no_grad()
    def initialize(self) -> None:
        """Weights from N(0, initial_std); those that write to the stream smaller by sqrt(2L).

        Source: Radford et al. (2019), section 2.3. `config.embedding_std` is the embedding's.
        """
        if self.head.weight.is_meta:
            return  # there are no numbers
        std = self.config.initial_std
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                writes = name.endswith(("attention.output.weight", ".down.weight"))
                nn.init.normal_(
                    weight, 0.0, std / math.sqrt(2 * len(self.blocks)) if writes else std
                )
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        if self.config.embedding_std != std:
            nn.init.normal_(self.embedding.weight, 0.0, self.config.embedding_std)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        attention_mask: PaddingMask | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the next token after each position; see `hidden` for the arguments."""
        return self.unembed(self.hidden(ids, attention_mask, cache))

    def hidden(
        self,
        ids: Int[Tensor, "B T"],
        attention_mask: PaddingMask | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The residual stream after the last layer.

        `attention_mask` is False, or 0, at padding; with a cache it covers the cached
        positions too (S = cached + T). Raises ValueError for ids outside the vocabulary,
        for another kind of mask, and for sequences longer than the context.
        """
        x, rotary, mask = self.embed(ids, attention_mask, cache.length if cache else 0)
        for block in self.blocks:
            x = block(x, rotary, mask, cache)
        if cache is not None:
            cache.advance(ids.shape[1])
        return x

    def unembed(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... V"]:
        """Read logits off a residual stream. On an inner
        layer's stream this is the logit lens.
        """
        return self.head(self.final_norm(x))

    def embed(
        self,
        ids: Int[Tensor, "B T"],
        attention_mask: PaddingMask | None = None,
        past: int = 0,
    ) -> tuple[Float[Tensor, "B T C"], Rotary | None, Bool[Tensor, "B 1 T S"] | None]:
        """What the first block receives: the embedded ids, the rotary tables and the mask."""
        check_ids(self.config, ids)
        if ids.device != self.embedding.weight.device:
            raise ValueError(
                f"ids are on {ids.device}, the model on {self.embedding.weight.device}: use "
                "ids.to(model.embedding.weight.device)"
            )
        n_query, n_key = ids.shape[1], past + ids.shape[1]
        check_length(self.config, n_key)
        if attention_mask is None:
            mask = None  # the kernels are causal by default
            positions = torch.arange(past, n_key, device=ids.device)[None]
        else:
            attention_mask = as_mask(attention_mask, len(ids), n_key, device=ids.device)
            visible = causal_mask(n_query, n_key, ids.device) & attention_mask[:, None, None, :]
            # A padding position sees itself: a row with nothing to see would become NaN.
            itself = torch.eye(n_key, dtype=torch.bool, device=ids.device)[past:]
            mask = visible | itself
            positions = (attention_mask.long().cumsum(1) - 1).clamp(min=0)[:, past:]
        return *self._embed_checked(ids, positions), mask

    def embed_at(
        self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"]
    ) -> tuple[Float[Tensor, "B T C"], Rotary | None]:
        """The embedded ids, each at its position (counted from 0), and the rotary tables.

        Raises ValueError for ids outside the vocabulary.
        """
        check_ids(self.config, ids)
        return self._embed_checked(ids, positions)

    def _embed_checked(
        self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"]
    ) -> tuple[Float[Tensor, "B T C"], Rotary | None]:
        x = self.embedding(ids)
        if self.config.scale_embeddings:  # the factor, too, is rounded to the dtype of the weights
            x = x * torch.tensor(math.sqrt(self.config.d_model), dtype=x.dtype)
        if self.position is not None:
            x = x + self.position(positions)
        rotary = rope_tables(self.config, positions) if self.config.positions == "rope" else None
        return self.dropout(x), rotary

    @torch.no_grad()
    def residual_stream(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "layers B T C"]:
        """The residual stream before the first block and after each one (L + 1 entries)."""
        x, rotary, mask = self.embed(ids)
        stream = [x]
        for block in self.blocks:
            stream.append(block(stream[-1], rotary, mask))
        return torch.stack(stream)

    @torch.no_grad()
    def attention_steps(self, ids: Int[Tensor, "B T"], layer: int) -> AttentionSteps:
        """Queries, keys, values, scores, weights and outputs of one layer's heads.

        Raises ValueError for latent attention, whose keys and values are made of latents.
        """
        require("layer", layer, f"[0, {len(self.blocks) - 1}]", whole=True)
        if self.config.latent is not None:
            raise ValueError("attention_steps needs a model with latent=None")
        x, rotary, mask = self.embed(ids)
        for block in self.blocks[:layer]:
            x = block(x, rotary, mask)
        block = self.blocks[layer]
        return block.attention.steps(block.attention_norm(x), rotary, mask)

    def count_parameters(self, *, embeddings: bool = True) -> int:
        """Number of parameters; without embeddings, positions and an untied head are left out."""
        outside = ("embedding.", "position.", "head.")
        return sum(
            weight.numel()
            for name, weight in self.named_parameters()
            if embeddings or not name.startswith(outside)
        )
