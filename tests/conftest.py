"""Settings and fixtures that all tests share."""

import dataclasses
import functools
import gc
import os
import tempfile
import typing
from collections.abc import Callable
from types import FunctionType

import beartype
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

# What is imported while tests are collected stays; to search it for garbage again and again, and
# the many small objects of the tests as often as by default, takes a tenth of the time.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


# A solved exercise is noted in the reader's state folder: not in that of who runs the tests.
_STATE = tempfile.TemporaryDirectory(prefix="state-")  # goes with the process
os.environ["XDG_STATE_HOME"] = _STATE.name


# What jaxtyping puts around each function of lib binds its arguments and checks them twice, for the
# sake of its messages. beartype checks them once, and jaxtyping's context holds the sizes that have
# a name during a call. A function that names no array needs no context; one that is not called,
# nothing; and a name in quotation marks may be of what only an editor imports: jaxtyping leaves it.
_jaxtypings_own = jaxtyping.jaxtyped
_typed = beartype.beartype(conf=beartype.BeartypeConf(violation_type=jaxtyping.TypeCheckError))
_sizes = jaxtyping.jaxtyped("context")


def _in_quotation_marks(annotation: object) -> bool:
    if isinstance(annotation, str | typing.ForwardRef):
        return True
    return any(map(_in_quotation_marks, typing.get_args(annotation)))


def _names_an_array(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(_names_an_array, typing.get_args(annotation)))


def _with_sizes(function: Callable) -> Callable:
    typed = _typed(function)

    def with_sizes(*args, **kwargs):
        with _sizes:
            return typed(*args, **kwargs)

    return with_sizes


def _checked(function: Callable, typechecker: Callable) -> Callable:
    made = None

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        nonlocal made
        if made is None:
            kinds = function.__annotations__.values()
            if any(map(_in_quotation_marks, kinds)):
                made = _jaxtypings_own(function, typechecker=typechecker)
            else:
                made = (_with_sizes if any(map(_names_an_array, kinds)) else _typed)(function)
        return made(*args, **kwargs)

    return checked


def _jaxtyped(function: object = None, *, typechecker: Callable) -> object:
    checked = functools.partial(_jaxtyped, typechecker=typechecker)
    if function is None:
        return checked
    if isinstance(function, FunctionType):
        return _checked(function, typechecker)
    if isinstance(function, classmethod | staticmethod):
        return type(function)(checked(function.__func__))
    if isinstance(function, property):
        return property(*(f and checked(f) for f in (function.fget, function.fset, function.fdel)))
    if dataclasses.is_dataclass(function) and "__init__" in vars(function):
        function.__init__ = checked(function.__init__)
    return function


jaxtyping.jaxtyped = _jaxtyped


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
