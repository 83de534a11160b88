import copy
import math
import re

import numpy as np
import pytest
import torch
from references import small_model

from lib.model.feedforward import ACTIVATIONS, FUSED_ACTIVATIONS
from lib.model.normalization import LayerNorm, layer_norm
from lib.pretrained import load_folder
from lib.training import Batches, TrainingConfig, evaluate, next_token_loss, train
from lib.training.loop import fingerprint
from lib.training.memory import recomputed_activations
from lib.training.optimizer import DivergedError, clip_gradients, decay_groups, make_optimizer

CONFIG = TrainingConfig(steps=12, batch_size=4, context_length=16, evaluate_every=5)


def losses(history):
    return [row["loss"] for row in history if "loss" in row]


@pytest.mark.parity("10 training steps of GPT-2, Llama and Qwen3", "transformers, torch", "1e-4")
@pytest.mark.parametrize("kind", ["gpt2", "llama-tied", "qwen3"])
def test_training_equals_a_plain_torch_loop(tmp_path, tokens, kind):
    reference = small_model(kind)
    for module in reference.modules():  # GPT-2 of transformers comes with dropout 0.1
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    reference.save_pretrained(tmp_path)
    model, _ = load_folder(tmp_path)
    config = TrainingConfig(
        steps=10, batch_size=6, context_length=32, learning_rate=3e-3, schedule="constant",
        warmup=3, accumulate=2,
    )  # fmt: skip
    history = train(model, tokens[0], config)

    matrices = [w for w in reference.parameters() if w.dim() > 1]
    vectors = [w for w in reference.parameters() if w.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}],
        lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, foreach=False, fused=False,
    )  # fmt: skip
    batches = Batches(tokens[0], 32, 6)
    reference.train()
    for step in range(10):
        windows = batches.step(step)
        loss = reference(input_ids=windows, labels=windows).loss  # shifts by itself
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 4)
        optimizer.step()
        optimizer.zero_grad()
        assert history[step]["loss"] == pytest.approx(loss.item(), abs=1e-4)
        assert history[step]["gradient_norm"] == pytest.approx(norm.item(), rel=1e-3)


def test_loss_of_an_untrained_model_is_that_of_guessing(new_model, tokens):
    loss = evaluate(new_model(), tokens[1], 16)
    assert loss == pytest.approx(math.log(97), abs=0.05)


@pytest.mark.parity("next-token loss, shifted", "transformers' labels=", "1e-6")
def test_next_token_loss(tmp_path):
    reference = small_model("llama")
    reference.save_pretrained(tmp_path)
    model, _ = load_folder(tmp_path)
    windows = torch.randint(97, (3, 20))
    with torch.inference_mode():
        expected = reference(input_ids=windows, labels=windows).loss
        torch.testing.assert_close(next_token_loss(model, windows), expected, atol=1e-6, rtol=1e-6)


def test_evaluation_is_the_mean_over_all_windows(new_model, tokens):
    model = new_model(dropout=0.5).train()
    windows = torch.tensor(tokens[1][: 31 * 16 + 1])
    whole = torch.cat([windows[i * 16 : i * 16 + 17][None] for i in range(31)])
    expected = next_token_loss(copy.deepcopy(model).eval(), whole).item()
    for batch in (1, 4, 31, 100):
        assert evaluate(model, tokens[1], 16, batch) == pytest.approx(expected, abs=1e-5)
    assert model.training


def test_it_learns_and_reports(new_model, tokens):
    rows = []
    model = new_model()
    config = TrainingConfig(
        steps=150, batch_size=16, context_length=16, learning_rate=1e-2, evaluate_every=50
    )
    history = train(
        model, tokens[0], config, tokens[1], on_evaluation=lambda _, row: rows.append(row)
    )
    assert [row["step"] for row in history] == list(range(151))
    assert [row["step"] for row in rows] == [0, 50, 100, 150]
    assert history[-1]["tokens"] == 150 * 16 * 16
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] - 1.5
    assert not model.training


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 4},
        {"checkpoint_activations": True},
        {"checkpoint_activations": True, "checkpoint_segments": 2},
    ],
)
def test_less_memory_same_losses(new_model, tokens, changes):
    plain = train(new_model(), tokens[0], CONFIG)
    spared = train(new_model(), tokens[0], TrainingConfig(**{**vars(CONFIG), **changes}))
    assert losses(spared) == pytest.approx(losses(plain), abs=1e-5)


def test_recomputation_keeps_fewer_activations(new_model):
    """And gives the same gradients, dropout included."""
    ids = torch.randint(97, (4, 17))
    saved, gradients = [], []
    for enabled in (False, True):
        model, kept = new_model(dropout=0.1), []
        torch.manual_seed(1)
        pack = lambda t, kept=kept: kept.append(t.numel()) or t  # noqa: E731
        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
        with hooks, recomputed_activations(model, enabled):
            loss = next_token_loss(model, ids)
        loss.backward()
        saved.append(sum(kept))
        gradients.append([w.grad for w in model.parameters()])
        assert "forward" not in vars(model.blocks[0])
    assert saved[1] < saved[0] / 3
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_bfloat16_is_near_float32(new_model, tokens):
    plain = train(new_model(), tokens[0], CONFIG)
    half = train(
        new_model(), tokens[0], TrainingConfig(**{**vars(CONFIG), "precision": "bfloat16"})
    )
    assert losses(half) == pytest.approx(losses(plain), abs=0.02)
    assert losses(half) != losses(plain)


def test_matrices_decay_and_vectors_do_not(new_model):
    model = new_model()
    decayed, kept = decay_groups(model, 0.1)
    assert {w.dim() for w in decayed["params"]} == {2}
    assert {w.dim() for w in kept["params"]} == {1}
    count = sum(w.numel() for group in (decayed, kept) for w in group["params"])
    assert count == model.count_parameters()  # a tied head is there once
    assert [g["weight_decay"] for g in make_optimizer(model, 1e-3).param_groups] == [0.1, 0.0]


def test_clipping_bounds_the_norm(new_model):
    model = new_model()
    (1000 * next_token_loss(model, torch.randint(97, (4, 17)))).backward()
    before = torch.cat([w.grad.flatten() for w in model.parameters()]).norm()
    assert clip_gradients(model.parameters(), 1.0).item() == pytest.approx(before.item(), rel=1e-5)
    after = torch.cat([w.grad.flatten() for w in model.parameters()]).norm()
    assert after.item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be an integer in .*, got 0"),
        ({"schedule": "steep"}, "schedule must be one of cosine, stable_decay, linear, constant"),
        ({"precision": "int4"}, "precision must be one of float32, bfloat16, got 'int4'"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0, got -1.0"),
        ({"warmup": 12}, r"warmup \(of 12 steps\) must be an integer in \[0, 11\]"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"weight_decay": math.nan}, "weight_decay must be at least 0, got nan"),
        ({"learning_rate": "1e-3"}, "learning_rate must be at least 0, got '1e-3'"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] must be in \[0, 1\), got 1.0"),
        ({"betas": 0.9}, r"betas must be two numbers in \[0, 1\), got 0.9"),
        ({"z_loss": math.nan}, "z_loss must be at least 0, got nan"),
        ({"balance_loss": -1.0}, "balance_loss must be at least 0, got -1.0"),
        ({"evaluation_sequences": 0}, "evaluation_sequences must be an integer at least 1, got 0"),
        ({"steps": True}, "steps must be an integer in .*, got True"),
        ({"batch_size": 2.0}, "batch_size must be an integer at least 1, got 2.0"),
        ({"seed": -1}, "seed must be an integer at least 0, got -1"),
        ({"checkpoint_activations": "false"}, "checkpoint_activations must be one of"),
        ({"checkpoint_segments": 0}, "checkpoint_segments must be an integer at least 1"),
        ({"max_gradient_norm": math.nan}, "max_gradient_norm must be above 0, got nan"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm must be above 0"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**{**vars(CONFIG), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 17}, "context_length must be at most the model's 16, got 17"),
        ({"accumulate": 3}, "batch_size must be a multiple of processes x accumulate = 1 x 3"),
        ({"context_length": 8, "batch_size": 4}, "5 training tokens do not fill a sequence of 8"),
    ],
)
def test_what_does_not_go_together_is_named(new_model, changes, message):
    few = np.arange(5)
    with pytest.raises(ValueError, match=message):
        train(new_model(), few, TrainingConfig(**{**vars(CONFIG), **changes}))


@pytest.mark.parity("activations and LayerNorm by torch's kernels", "their formulas", "1e-6")
def test_fused_kernels_equal_the_formulas():
    x = torch.linspace(-8, 8, 1001)
    for name, formula in ACTIVATIONS.items():
        torch.testing.assert_close(FUSED_ACTIVATIONS[name](x), formula(x), atol=1e-6, rtol=1e-5)
    norm = LayerNorm(13)
    with torch.no_grad():
        norm.weight.normal_(1, 0.3)
        norm.bias.normal_()
    x = 5 + 3 * torch.randn(4, 13)
    torch.testing.assert_close(norm(x), layer_norm(x, norm.weight, norm.bias), atol=2e-6, rtol=1e-5)


def poisoned(model):
    with torch.no_grad():
        model.embedding.weight[3, 3] = math.nan
    return model


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_first_loss_that_is_not_finite_stops_the_run(new_model, tokens, tmp_path, accumulate):
    """The last good checkpoint stays, nothing else is written, no weight moves."""
    config = TrainingConfig(
        **vars(CONFIG) | {"checkpoint_every": 1, "learning_rate": 1e30, "accumulate": accumulate}
    )
    model = new_model()
    with pytest.raises(DivergedError, match=r"at step (\d+): .* rate of \d") as raised:
        train(model, tokens[0], config, folder=tmp_path)
    step = int(re.search(r"step (\d+)", str(raised.value))[1])
    kept = [path.name for path in sorted(tmp_path.iterdir())]
    assert kept == [f"step-{s:08d}" for s in range(max(1, step - 2), step)]
    assert all(weight.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("validated", [True, False])
def test_a_model_with_nan_is_not_trained(new_model, tokens, tmp_path, validated):
    validation = tokens[1] if validated else None
    with pytest.raises(DivergedError, match="step 0: .* is nan" if validated else "at step 1: "):
        train(poisoned(new_model()), tokens[0], CONFIG, validation, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("as_a_reader")
def test_windows_are_checked(new_model):
    model = new_model()
    for windows, message in (
        (torch.zeros(5).long(), r"must be a tensor \(batch, at least two positions\), got \(5,\)"),
        (torch.zeros(2, 1).long(), r"got \(2, 1\)"),
        ([[1, 2]], "got "),
        (torch.tensor([[1, 97]]), r"ids must be in 0 \.\. 96, got 1 \.\. 97"),
        (torch.ones(2, 3), "must be whole numbers .* got torch.float32"),
    ):
        with pytest.raises(ValueError, match=message):
            next_token_loss(model, windows)


def test_a_fingerprint_covers_the_whole_text():
    tokens = np.arange(300_000) % 97
    other = tokens.copy()
    other[150_000] += 1
    assert fingerprint(tokens) != fingerprint(other)
    assert fingerprint(tokens) == fingerprint(torch.tensor(tokens.astype(np.uint8)))


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model", np.arange(99), CONFIG), "needs a LanguageModel, got 'model'"),
        ((None, np.arange(99), {"steps": 3}), "needs a TrainingConfig, got {'steps': 3}"),
        ((None, "a text", CONFIG), "training tokens must be an array or a tensor"),
        ((None, np.arange(99), CONFIG, np.arange(9)), "9 validation tokens do not fill"),
    ],
)
def test_wrong_arguments_are_named(new_model, arguments, message):
    model, *rest = arguments
    with pytest.raises((TypeError, ValueError), match=message):
        train(model or new_model(), *rest)
