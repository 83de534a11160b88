"""The comparison of decoders: its numbers by another way, and a table for every decoder."""

import pytest
import torch

from lib.experiments import decoding
from lib.experiments.decoding import DRAWN, N_PROMPTS, NEW, SEARCHED, measure, passages


def test_measures_by_hand(pair):
    model, reference = pair
    prompt, new = (
        torch.tensor([[3, 4, 5]]),
        torch.tensor([[[7, 8, 9, 7, 8, 9], [1, 2, 3, 4, 5, 6]]]),
    )
    (row,) = measure(model, prompt, new)
    assert row["repetition"] == pytest.approx((1 / 4 + 0) / 2)  # 789 comes again
    assert row["different"] == pytest.approx(7 / 8)
    losses = []
    for text in new[0]:
        ids = torch.cat([prompt[0], text])[None]
        labels = ids.clone()
        labels[:, :3] = -100
        with torch.no_grad():
            losses.append(reference(ids, labels=labels).loss.item())
    assert row["surprise"] == pytest.approx(sum(losses) / 2, abs=1e-4)
    first = [float(x) for x in row["by_token"].split()]
    assert sum(first) / 6 == pytest.approx(losses[0], abs=0.01)


def test_passages_do_not_overlap(smollm2):
    _, tokenizer = smollm2
    texts = passages(tokenizer)
    assert len({tuple(row) for row in texts.tolist()}) == N_PROMPTS


def test_the_table_has_every_decoder():
    rows = decoding.table()
    names = {"human", *SEARCHED, *DRAWN}
    assert {(r["decoder"], int(r["prompt"])) for r in rows} == {
        (name, i) for name in names for i in range(N_PROMPTS)
    }
    for row in rows:
        by_token = [float(x) for x in row["by_token"].split()]
        assert len(by_token) == NEW
        assert 0 <= float(row["repetition"]) < 1
