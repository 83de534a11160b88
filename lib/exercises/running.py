"""Run a reader's function safely: on copies, with fixed random numbers, within a time limit."""

import contextlib
import ctypes
import inspect
import io
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.exercises.comparing import difference

FORGETS = (
    "Called again with the same arguments it gives another result: does it keep something from "
    "one call to the next, or draw random numbers?"
)
NOT_NEW = (
    "The result is right, but it is an argument itself, not a new tensor: what is written into one "
    "later changes the other."
)


class TooSlow(BaseException):
    """The time is up. Not an Exception, so that `except Exception` in an answer lets it pass."""


class TooMuch(BaseException):
    """More is printed than anyone reads."""


@dataclass(frozen=True)
class Outcome:
    """What one call did: a value, or an error, which arguments it changed, and what it left on."""

    value: Any = None
    error: BaseException | None = None
    changed: tuple[int, ...] = ()
    left: str = ""  # a global setting that is not as it was
    given: bool = False  # the value is an argument itself, or a view of one


def run(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    seconds: float | int | None,
    mode: Any = None,
) -> Outcome:
    """Call `function` on copies of `arguments`, in a torch `mode`. Nothing gets out, but for ^C.

    `seconds` of CPU time, None without a limit.
    """
    copies = [copy_of(argument) for argument in arguments]
    settings, left = _settings(), ""
    try:
        with (
            fixed_random_numbers(), _few_prints(), warnings.catch_warnings(),
            mode or contextlib.nullcontext(),
        ):  # fmt: skip
            value = function(*copies) if seconds is None else call_within(
                seconds, lambda: function(*copies)
            )  # fmt: skip
    except Interrupted:
        raise KeyboardInterrupt from None
    except BaseException as error:
        return Outcome(error=_readable(error))
    finally:
        if _settings() != settings:
            left = next(n for n, v in _settings().items() if v != settings[n])
            device = settings["torch.set_default_device"]
            torch.set_default_device(None if device.type == "cpu" else device)
            torch.set_default_dtype(settings["torch.set_default_dtype"])
            torch.set_grad_enabled(settings["torch.set_grad_enabled"])
            os.chdir(settings["os.chdir"])
    if type(value) in (list, dict, set):
        value = value.copy()  # an answer may keep it, and change it in the next call
    changed = (i for i, (a, b) in enumerate(zip(arguments, copies, strict=True)) if differs(a, b))
    return Outcome(value, changed=tuple(changed), left=left, given=_shares(value, copies))


def _shares(value: Any, arguments: list) -> bool:
    """Whether a tensor begins where one of the arguments does, in memory."""
    if type(value) is not Tensor or value.is_meta or value.layout != torch.strided:
        return False
    tensors = (a for a in arguments if type(a) is Tensor and a.numel())
    return any(a.data_ptr() == value.data_ptr() for a in tensors)


def _settings() -> dict[str, Any]:
    return {
        "torch.set_default_device": torch.get_default_device(),
        "torch.set_default_dtype": torch.get_default_dtype(),
        "torch.set_grad_enabled": torch.is_grad_enabled(),
        "os.chdir": os.getcwd(),  # noqa: PTH109
    }


def _readable(error: BaseException) -> BaseException:
    """The error itself, its text cut short; a plain one where the text fails or never ends."""
    own = [getattr(type(error), name) for name in ("__str__", "__repr__")]
    if any(map(inspect.isfunction, own)):
        try:
            call_within(0.5, lambda: (str(error), repr(error)))
        except TooSlow as slow:
            return slow
        except BaseException:
            return RuntimeError("an error whose text cannot be read")
    if len(str(error)) > 1000:
        error.args = (f"{str(error)[:300]}…",)
    return error


class Interrupted(BaseException):
    """^C was pressed: unlike a KeyboardInterrupt that an answer raises, it ends the check."""


class _Sink(io.StringIO):
    def write(self, text: str) -> int:
        if self.tell() > 200_000:
            raise TooMuch("it prints without an end")
        return super().write(text)


@contextmanager
def _few_prints() -> Iterator[None]:
    """Let through what an answer prints, but not without end; nothing from an error's end."""
    sink = _Sink()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield


def copy_of(value: Any) -> Any:
    """Copy tensors, arrays, containers and random generators; share models and other objects."""
    if type(value) in (int, float, str, bytes, bool):  # most items: asked first, for speed
        return value
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(copy_of(item) for item in value)
    if type(value) is dict:
        return {key: copy_of(item) for key, item in value.items()}
    if isinstance(value, torch.Generator):
        return torch.Generator(device=value.device).set_state(value.get_state())
    if isinstance(value, random.Random):
        twin = random.Random()
        twin.setstate(value.getstate())
        return twin
    return value


def differs(before: Any, after: Any) -> bool:
    """Tell whether an argument that `copy_of` copies was changed."""
    plain = (Tensor, np.ndarray, list, tuple, set, dict)
    if not isinstance(before, plain):
        return False
    if isinstance(before, Tensor | np.ndarray):
        return difference(before, after, rtol=0.0, atol=0.0) is not None
    if len(before) != len(after):
        return True
    if isinstance(before, set):
        return before != after
    if isinstance(before, dict):
        return list(before) != list(after) or any(differs(before[k], after[k]) for k in before)
    for a, b in zip(before, after, strict=True):
        if differs(a, b) or (not isinstance(a, plain) and a is not b and difference(a, b)):
            return True
    return False


@contextmanager
def fixed_random_numbers(seed: int = 0) -> Iterator[None]:
    """Seed torch, NumPy and random, and give them back as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` looks for other devices
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def call_within(seconds: float | int, function: Callable[[], Any]) -> Any:
    """Return `function()`, or raise TooSlow after `seconds` of CPU time.

    In the main thread of Unix a timer signal interrupts the call where it is; elsewhere the call
    runs in a thread of its own. A loop inside one call of compiled code is beyond both.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _call_with_signal(seconds, function)
    return _call_in_thread(seconds, function)


def _call_with_signal(seconds: float | int, function: Callable[[], Any]) -> Any:
    running, stops, tracing = True, 0, sys.gettrace()
    begin, spent = time.monotonic(), time.process_time()

    def again(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and running:
            raise TooSlow
        return again

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stops
        starved = time.process_time() - spent > seconds / 4
        if number == signal.SIGALRM and starved and time.monotonic() - begin < 30 * seconds:
            return  # it computes, on a busy machine: the other timer will count
        if not running or (frame is not None and frame.f_code.co_filename.endswith("weakref.py")):
            return  # an error in a callback of garbage collection is lost: wait for the next signal
        stops += 1
        if stops > 1:  # a bare `except` took the first: raise on the line after it, too
            sys.settrace(again)
            while frame is not None and frame.f_code is not _call_with_signal.__code__:
                frame.f_trace, frame = again, frame.f_back
        raise TooSlow

    def interrupt(*_: Any) -> None:
        raise Interrupted

    timers = [
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),  # CPU time: a busy machine is no fault
        (signal.SIGALRM, signal.ITIMER_REAL, 6 * seconds),  # and for an answer that only waits
    ]
    before = [signal.signal(number, stop) for number, _, _ in timers]
    ctrl_c = signal.signal(signal.SIGINT, interrupt)
    for _, timer, limit in timers:
        signal.setitimer(timer, limit, 0.2)  # again, should an answer swallow the first
    try:
        return function()
    finally:
        running = False
        sys.settrace(tracing)
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, ctrl_c)


def _call_in_thread(seconds: float | int, function: Callable[[], Any]) -> Any:
    results: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            results.append((function(), None))
        except BaseException as error:
            results.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TooSlow)
        )
        raise TooSlow
    value, error = results[0]
    if error is not None:
        raise error
    return value
