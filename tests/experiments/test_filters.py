"""The filters side by side: all that there are, and a toy that tells them apart."""

import pytest
import torch

from lib.experiments.filters import FILTERS, TOY, TOY_FILTERS, kept
from lib.generation.config import CUTS


@pytest.mark.parametrize("filters", [FILTERS, TOY_FILTERS])
def test_each_filter_is_there_once(filters):
    names = [name for setting in filters.values() for name in setting if name in CUTS]
    assert sorted(names) == sorted(CUTS)


def test_no_two_filters_keep_the_same_of_the_toy():
    assert TOY.sum().item() == pytest.approx(1)
    found = {
        name: tuple(kept(TOY.log(), s).isfinite()[0].tolist()) for name, s in TOY_FILTERS.items()
    }
    assert len(set(found.values())) == len(TOY_FILTERS)
    assert all(any(pattern) and not all(pattern) for pattern in found.values())


def test_kept_by_hand():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert kept(logits, {"top_k": 2}).isfinite().tolist() == [[True, True, False]]
    assert kept(logits, {"p_less": True}).isfinite().tolist() == [[True, False, False]]  # 0.38
