"""Muon against torch's own, where torch has it."""

import pytest
import torch

from lib.training import TrainingConfig, train
from lib.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_an_orthogonalized_matrix_turns_as_the_matrix_does_and_hardly_stretches(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    ours = orthogonalized(matrix)
    stretch = torch.diag(u.T @ ours @ v.T)
    assert 0.6 < stretch.min() <= stretch.max() < 1.3
    assert ours.norm() == pytest.approx(stretch.norm().item(), rel=1e-3)  # nothing beside it


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9")
@pytest.mark.parity("Muon: five updates of the matrices", "torch.optim.Muon", "2% of an update")
def test_updates_are_those_of_torch(new_model, tokens):
    ours, theirs = new_model(), new_model()
    optimizer = Muon(ours, 0.01)
    hidden = [w for w in theirs.blocks.parameters() if w.dim() == 2]
    reference = torch.optim.Muon(
        hidden, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )  # computes in bfloat16
    first = [w.detach().clone() for w in hidden]
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        optimizer.step()
        reference.step()
    mine = [w for w in ours.blocks.parameters() if w.dim() == 2]
    for a, b, start in zip(mine, hidden, first, strict=True):
        assert (a - b).norm() < 0.02 * (b - start).norm()
    assert len(optimizer.param_groups) == 3


def test_one_rate_serves_all_weights_and_training_learns(new_model, tokens):
    model = new_model()
    optimizer = Muon(model, 1.0)
    config = TrainingConfig(steps=30, batch_size=4, context_length=16, learning_rate=0.01)
    history = train(model, tokens[0], config, optimizer=optimizer)
    assert {group["lr"] for group in optimizer.param_groups} == {config.rate()(29)}
    assert history[-1]["loss"] < history[0]["loss"] - 0.5


def test_what_checkpoints_do_not_know_is_refused(new_model, tokens, tmp_path):
    model, config = new_model(), TrainingConfig(steps=1, batch_size=4, context_length=16)
    with pytest.raises(ValueError, match="another optimizer than AdamW needs one process"):
        train(model, tokens[0], config, folder=tmp_path, optimizer=Muon(model, 0.01))
    with pytest.raises(ValueError, match="Muon takes no closure"):
        Muon(model, 0.01).step(lambda: 0.0)
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), got 1.0"):
        Muon(model, 0.01, momentum=1.0)
