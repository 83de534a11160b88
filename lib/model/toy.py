"""The smallest attention that does something: four words, two heads, numbers done by hand.

"red car blue bike": each thing looks for its color. The features of a word are (is red, is blue,
is a color, is a thing). In head 0 a thing asks for colors, so `car` finds `red`; `bike` finds both
colors, since without positions nothing says which is nearer. In head 1 every word asks for things.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Toy:
    """Words, their vectors, and the matrices of each head (rows: input, columns: output)."""

    words: tuple[str, ...]
    x: Float[Tensor, "T C"]
    query_matrix: Float[Tensor, "H C D"]
    key_matrix: Float[Tensor, "H C D"]
    value_matrix: Float[Tensor, "H C D"]

    def project(
        self,
    ) -> tuple[Float[Tensor, "1 H T D"], Float[Tensor, "1 H T D"], Float[Tensor, "1 H T D"]]:
        """Queries, keys and values of all heads."""
        query, key, value = (
            (self.x @ matrix)[None]
            for matrix in (self.query_matrix, self.key_matrix, self.value_matrix)
        )
        return query, key, value


def color_toy() -> Toy:
    """Four words of four features; head width 4, so that the square root of it is 2."""
    words = ("red", "car", "blue", "bike")
    #        red blue color thing
    x = [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1]]
    query, key, value = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    query[0, 3, 0], key[0, 2, 0] = 4.0, 1.0  # a thing asks for colors; a color says so
    value[0, 0, 0] = value[0, 1, 1] = 1.0  # and contributes which color it is
    query[1, 2, 1] = query[1, 3, 1] = 2.0  # every word asks for things
    key[1, 3, 1] = 1.0
    value[1, 3, 3] = 1.0
    return Toy(words, torch.tensor(x, dtype=torch.float32), query, key, value)
