"""The key/value cache: what a model keeps of the past so that a new token costs one position."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.config import ModelConfig


class KVCache:
    """Room for the keys and values of `capacity` positions in every layer, allocated once.

    Each layer calls `append`; after the last layer the model calls `advance`.
    Raises ValueError when more than `capacity` positions are written.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        shape = (config.n_layers, batch_size, config.n_kv_heads, capacity, config.d_head)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0

    @property
    def nbytes(self) -> int:
        """Bytes that the cache holds, used or not."""
        return self.keys.nbytes + self.values.nbytes

    def append(
        self, layer: int, key: Float[Tensor, "B K T D"], value: Float[Tensor, "B K T D"]
    ) -> tuple[Float[Tensor, "B K S D"], Float[Tensor, "B K S D"]]:
        """Store the new positions of one layer and return all its positions so far (views)."""
        end = self.length + key.shape[2]
        if end > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} positions, got {end}; create it with more room"
            )
        keys, values = self.keys[layer], self.values[layer]
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, n_positions: int) -> None:
        """Count the positions that every layer has now stored."""
        self.length += n_positions

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on (after a rejected draft, for instance)."""
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be between 0 and {self.length}, got {length}")
        self.length = length

    def reorder(self, rows: Int[Tensor, "B"]) -> None:
        """Row i becomes what row `rows[i]` was (beam search moves hypotheses so)."""
        self.keys[:, :, :, : self.length] = self.keys[:, rows, :, : self.length]
        self.values[:, :, :, : self.length] = self.values[:, rows, :, : self.length]
