"""Small models and texts are those of the rooms that the experiments use."""

from tests.generation.conftest import pair
from tests.training.conftest import _one_thread, _quiet, tokens

__all__ = ["_one_thread", "_quiet", "pair", "tokens"]
