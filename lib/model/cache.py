"""The key/value cache: what a model keeps of the past so that a new token costs one position."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.config import ModelConfig
from lib.settings import require


class KVCache:
    """Room for the keys and values of `capacity` positions in every layer, allocated once.

    A layer with a window keeps only the positions that can still be seen: the last `window` and
    the first `window_sinks`, in a ring where each new position takes the place of the oldest.
    Each layer calls `append`; after the last layer the model calls `advance`.
    With `whole` it keeps all positions, so that it can go back or hold several continuations.
    Raises ValueError when more than `capacity` positions are written to a layer without a window.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        whole: bool = False,
    ):
        require("batch_size", batch_size, "[1, inf)", whole=True)
        require("capacity", capacity, "[1, inf)", whole=True)
        self.capacity, self.n_sinks, self.length = capacity, config.window_sinks, 0
        self.whole = whole
        # The window of each layer that is kept as a ring; None where all positions have room.
        windows = [config.layer_window(layer) for layer in range(config.n_layers)]
        self.rings = [
            w if w and w + self.n_sinks < capacity and not whole else None for w in windows
        ]
        self.keys, self.values = [], []
        for window in self.rings:
            slots = capacity if window is None else self.n_sinks + window
            for kept, (heads, width) in zip(
                (self.keys, self.values), config.cache_shapes, strict=True
            ):
                shape = (batch_size, heads, slots, width)
                kept.append(torch.empty(shape, dtype=dtype, device=device))

    @property
    def nbytes(self) -> int:
        """Bytes that the cache holds, used or not."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def append(
        self,
        layer: int,
        key: Float[Tensor, "B K T D"],
        value: Float[Tensor, "B K T value_D"],
    ) -> tuple[Float[Tensor, "B K S D"], Float[Tensor, "B K S value_D"]]:
        """Store the new positions of one layer; return all
        that its queries may need to see.

        Without a window these are views of all positions so far. With one, `key_positions`
        says which positions they are; they may be out of order.
        """
        if len(key) != len(self.keys[layer]):
            raise ValueError(f"the cache has {len(self.keys[layer])} rows, got {len(key)}")
        if self.rings[layer] is not None:
            return self._append_to_ring(layer, key, value)
        keys, values, end = self.keys[layer], self.values[layer], self.length + key.shape[2]
        if end > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} positions, got {end}; create a larger one"
            )
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value
        return keys[:, :, :end], values[:, :, :end]

    def _append_to_ring(
        self, layer: int, key: Float[Tensor, "B K T D"], value: Float[Tensor, "B K T D"]
    ) -> tuple[Float[Tensor, "B K S D"], Float[Tensor, "B K S D"]]:
        keys, values, window = self.keys[layer], self.values[layer], self.rings[layer]
        used, end = min(self.length, keys.shape[2]), self.length + key.shape[2]
        if key.shape[2] == 1:
            used = min(end, keys.shape[2])
            slot = self.length if used == end else self._slot(self.length, window)
            keys[:, :, slot : slot + 1], values[:, :, slot : slot + 1] = key, value
            return keys[:, :, :used], values[:, :, :used]
        # Early queries among the new ones may still see keys that the last ones push out.
        seen = torch.cat([keys[:, :, :used], key], 2), torch.cat([values[:, :, :used], value], 2)
        new = torch.arange(self.length, end, device=key.device)
        kept = new[(new < self.n_sinks) | (new >= end - window)]
        slots = torch.where(kept < self.n_sinks, kept, self._slot(kept, window))
        keys[:, :, slots] = key[:, :, kept - self.length]
        values[:, :, slots] = value[:, :, kept - self.length]
        return seen

    def _slot(self, position: int | Int[Tensor, "T"], window: int) -> int | Int[Tensor, "T"]:
        return self.n_sinks + (position - self.n_sinks) % window

    def key_positions(self, layer: int, n_new: int) -> Int[Tensor, "S"]:
        """The positions of the keys that `append` has returned for `n_new` new ones."""
        device, end = self.keys[layer].device, self.length + n_new
        if self.rings[layer] is None:
            return torch.arange(end, device=device)
        if n_new == 1:
            return self._positions_in_ring(layer, end)
        new = torch.arange(self.length, end, device=device)
        return torch.cat([self._positions_in_ring(layer, self.length), new])

    def _positions_in_ring(self, layer: int, length: int) -> Int[Tensor, "S"]:
        """The position in each used slot of a ring into which `length` positions were written."""
        newest, keys = length - 1, self.keys[layer]
        slot = torch.arange(min(length, keys.shape[2]), device=keys.device)
        position = newest - (newest - slot) % self.rings[layer]  # the latest that falls there
        return torch.where(slot < self.n_sinks, slot, position)

    def advance(self, n_positions: int) -> None:
        """Count the positions that every layer has now stored."""
        self.length += n_positions

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on (after a rejected draft, for instance).

        Raises ValueError if a window has already dropped what the shorter text would see.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be between 0 and {self.length}, got {length}")
        for layer, window in enumerate(self.rings):
            if window is not None and length < self.length > self.keys[layer].shape[2]:
                raise ValueError(
                    f"layer {layer} has dropped positions before its window of {window}; "
                    f"it cannot go back from {self.length} to {length}"
                )
        self.length = length

    def reorder(self, rows: Int[Tensor, "B"]) -> None:
        """Row i becomes what row `rows[i]` was (beam search moves hypotheses so)."""
        for tensor in (*self.keys, *self.values):
            used = tensor[:, :, : self.length]  # no more than a ring has slots
            used.copy_(used[rows])


def kv_elements_per_token(config: ModelConfig) -> int:
    """Numbers that one more position costs while no window is full: 2 K D for each layer.

    With latent attention: a latent and a rotary key.
    """
    return config.n_layers * sum(heads * width for heads, width in config.cache_shapes)
