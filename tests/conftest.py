"""Settings and fixtures that all tests share."""

import os
import tempfile

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

# No test asserts a time, so hypothesis has no deadline; under CI it draws the same examples always.
settings.register_profile(
    "course",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("course")

# A solved exercise is noted in the reader's state folder: not in that of who runs the tests.
_STATE = tempfile.TemporaryDirectory(prefix="state-")  # goes with the process
os.environ["XDG_STATE_HOME"] = _STATE.name


@pytest.fixture(scope="session")
def smollm2():
    """SmolLM2-135M-Instruct and its tokenizer, in float32."""
    from lib.pretrained import load_pretrained

    return load_pretrained("smollm2-135m-instruct")


@pytest.fixture
def as_a_reader():
    """Without jaxtyping's checks, which only tests have: what our own errors say of wrong types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)
