import numpy as np
import pytest
import torch

from lib.model import LanguageModel, ModelConfig

SMALL = dict(vocab_size=97, context_length=16, d_model=32, n_layers=2, n_heads=4, d_ff=64)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture(autouse=True)
def _one_thread():
    """Small models gain nothing from a second thread, and wait for it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def new_model():
    """A small GPT-2, always with the same weights."""

    def make(**changes):
        torch.manual_seed(0)
        return LanguageModel(ModelConfig.gpt2(**(SMALL | changes)))

    return make


@pytest.fixture(scope="session")
def tokens():
    """Training and validation tokens; most are a function of the token before."""
    random = np.random.default_rng(0)
    row = [0]
    for noise in random.integers(0, 97, 2999):
        row.append(noise if noise < 20 else (5 * row[-1] + 3) % 97)
    return np.array(row[:2500]), np.array(row[2500:])
