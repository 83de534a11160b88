"""The checks of types that all other tests run under are there (tests/conftest.py)."""

import jaxtyping
import pytest
import torch

from lib.model.config import ModelConfig
from lib.model.feedforward import gated_width
from lib.model.normalization import LayerNorm, layer_norm


def test_sizes_of_one_name_must_be_equal():
    with pytest.raises(jaxtyping.TypeCheckError, match="weight"):
        layer_norm(torch.ones(2, 3), torch.ones(4), torch.ones(3))
    with pytest.raises(jaxtyping.TypeCheckError):  # in a method, of another kind of number
        LayerNorm(3)(torch.ones(2, 3, dtype=torch.long))


def test_types_without_an_array_are_checked_too():
    with pytest.raises(jaxtyping.TypeCheckError, match="d_ff"):
        gated_width("8")
    with pytest.raises(jaxtyping.TypeCheckError, match="n_layers"):
        ModelConfig(8, 4, 8, "2", 2, 8)


@pytest.mark.usefixtures("as_a_reader")
def test_a_reader_has_no_such_checks():
    assert layer_norm(torch.ones(2, 3), torch.ones(1), torch.ones(3)).shape == (2, 3)
