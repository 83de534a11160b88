"""The shapes of multi-head latent attention, and what follows from them; DeepSeek-V3's by default.

Source: DeepSeek-AI (2024), DeepSeek-V2, section 2.1; DeepSeek-V3, section 4.2, for the sizes.
"""

from dataclasses import dataclass

from lib.settings import require_all

RANGES = {
    "d_model": "[1, 1e9]",
    "n_heads": "[1, 1e6]",
    "d_latent": "[1, 1e9]",
    "d_rope": "[2, 1e9]",
    "d_content": "[1, 1e9]",
    "d_value": "[1, 1e9]",
    "d_query_latent": "[1, 1e9]",
    "rope_base": "(1, inf)",
    "norm_eps": "(0, inf)",
}


@dataclass(frozen=True)
class LatentConfig:
    """Shapes of one latent attention layer; the defaults are DeepSeek-V3's.

    Without `d_query_latent` queries come straight from the token, as in DeepSeek-V2 Lite.
    Raises ValueError for a size that makes no layer.
    """

    d_model: int = 7168
    n_heads: int = 128
    d_latent: int = 512
    d_rope: int = 64  # of the shared rotary key and of each head's rotary query
    d_content: int = 128  # of each head's key and query without position
    d_value: int = 128
    d_query_latent: int | None = 1536
    rope_base: float = 10_000.0
    norm_eps: float = 1e-6

    def __post_init__(self):
        require_all(self, RANGES)
        if self.d_rope % 2:
            raise ValueError(f"d_rope must be even for rotary positions, got {self.d_rope}")

    @property
    def d_head(self) -> int:
        """The width of a head's query and key: content, then what rotates."""
        return self.d_content + self.d_rope

    @property
    def parameters(self) -> int:
        """Of one layer: the matrices down and up, their two norms, and the output."""
        return self.matrices_in + self.matrix_out + self.d_latent + (self.d_query_latent or 0)

    @property
    def matrices_in(self) -> int:
        """Numbers in the matrices that make queries, latents, keys and values."""
        low = self.d_query_latent
        query = self.n_heads * self.d_head * (low or self.d_model) + (low or 0) * self.d_model
        down = self.d_model * (self.d_latent + self.d_rope)
        return query + down + self.d_latent * self.n_heads * (self.d_content + self.d_value)

    @property
    def matrix_out(self) -> int:
        """Numbers in the matrix that writes to the stream."""
        return self.n_heads * self.d_value * self.d_model

    @property
    def cache_elements(self) -> int:
        """Numbers that the cache keeps of one token in one layer, whatever the number of heads."""
        return self.d_latent + self.d_rope
