"""Votes over sums: the counts by hand, the whole distribution of answers, and a complete table."""

import pytest
import torch

from lib.experiments import voting
from lib.experiments.voting import (
    PROBLEMS,
    SEEDS,
    SIZES,
    TEMPERATURES,
    number,
    share_solved,
    two_digits,
)


def test_groups_by_hand():
    answers, nats = [12, 13, 13, None, 12, 12], [1.0, 5.0, 6.0, 0.5, 9.0, 8.0]
    got = share_solved(
        answers, nats, right=13, n=3
    )  # 13 wins the first group's vote, 12 the second's
    assert got["vote"] == pytest.approx(1 / 2)
    assert got["likeliest"] == pytest.approx(0)  # 12 and None
    assert got["verifier"] == pytest.approx(1 - 4 / 20)  # C(4, 3) of C(6, 3) groups hold no 13
    assert share_solved(answers, nats, 13, 1)["vote"] == pytest.approx(2 / 6)
    assert share_solved([None, None], [1.0, 1.0], 13, 2)["vote"] == 0


def test_a_number_is_digits_on_the_first_line(smollm2):
    _, tokenizer = smollm2
    for text, expected in ((" 13", 13), (" 7\n", 7), (" 1x", None), ("\n13", None), (" ²", None)):
        assert number(tokenizer, tokenizer.encode(text)) == expected, text


def test_the_distribution_of_answers_is_the_product_of_its_tokens(smollm2):
    model, tokenizer = smollm2
    ids = voting.prompts(tokenizer, PROBLEMS[:1])
    p = two_digits(model, tokenizer, ids, 0.7)
    assert 0 < p.sum() <= 1 + 1e-5
    for answer in (10, 47):
        new = tokenizer.encode(f" {answer}")
        assert len(new) == 3
        with torch.inference_mode():
            logits = model(torch.cat([ids, torch.tensor([new])], dim=1))[0, ids.shape[1] - 1 : -1]
        log_p = (logits / 0.7).log_softmax(-1).gather(1, torch.tensor(new)[:, None])
        assert p[answer].item() == pytest.approx(log_p.sum().exp().item(), rel=1e-3)


def test_the_table_has_every_run():
    rows = voting.table()
    assert {(r["temperature"], r["seed"], r["draws"]) for r in rows} == {
        (t, s, n) for t in TEMPERATURES for s in SEEDS for n in SIZES
    }
    for row in rows:
        assert 0 <= row["vote"] <= row["verifier"] <= 1
        assert row["likeliest"] <= row["verifier"]
        assert row["draws"] > 1 or row["vote"] == row["likeliest"] == pytest.approx(row["verifier"])
