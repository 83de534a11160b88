"""Every page from GPT-2 to Qwen3 runs, and gives what the model with its weights gives."""

from itertools import pairwise

import pytest
import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.families import family_steps
from lib.model.one_page import changed_lines, one_page, page_weights, run_page

GPT2 = ModelConfig.gpt2(
    vocab_size=61, context_length=32, d_model=48, n_layers=2, n_heads=6, d_ff=80, rope_base=500.0
)
STEPS = family_steps(GPT2, n_kv_heads=2, d_head=12)


@pytest.mark.parametrize(("name", "config"), [(name, config) for name, _, config in STEPS])
def test_a_page_is_the_model(name, config):
    torch.manual_seed(0)
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # biases and gains too must count
            weight.add_(0.3 * torch.randn_like(weight))
    ids = torch.randint(61, (2, 9))
    logits = run_page(one_page(config), ids, page_weights(model))
    torch.testing.assert_close(logits, model(ids).detach(), atol=1e-4, rtol=1e-4)


def test_a_page_fits_a_page():
    for make in (ModelConfig.gpt2, ModelConfig.llama3_8b, ModelConfig.qwen3_0_6b):
        lines = one_page(make()).splitlines()
        assert len(lines) <= 32
        assert max(map(len, lines)) <= 88


def test_only_what_changes_is_marked():
    pages = [one_page(config) for _, _, config in STEPS]
    changes = [changed_lines(*pair) for pair in pairwise(pages)]
    assert all(changes)
    untied = dict(zip([name for name, _, _ in STEPS[1:]], changes, strict=True))
    assert untied["an untied head: Llama 3"].splitlines() == [
        '-     return x @ weights["embedding"].T',
        '+     return x @ weights["head"].T',
    ]
    assert changed_lines(pages[0], pages[0]) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(n_experts=4), "n_experts=4"),
        (dict(window=8), "window=8"),
        (dict(norm_placement="post"), "norm_placement='post'"),
        (dict(positions="alibi"), "positions must be one of"),
        (dict(norm="batchnorm"), "norm must be one of"),
        (dict(activation="squared_relu"), "activation must be one of"),
        (dict(qk_norm=True), "qk_norm needs"),
    ],
)
def test_what_no_page_has_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        one_page(GPT2.replace(**changes))
