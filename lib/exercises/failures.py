"""Say what is wrong with an answer that fails, or returns another kind of thing than asked for."""

import dataclasses
import dis
import inspect
import linecache
import numbers
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.exercises.comparing import kind, same
from lib.exercises.running import Outcome, TooMuch

LONGEST = 1_000_000  # items of a range that are looked at

KINDS: list[tuple[type[BaseException] | tuple, str]] = [
    (TooMuch, "It prints without an end."),
    (SystemExit, "It ends the program: return the result instead of calling `exit`."),
    (KeyboardInterrupt, "It raises KeyboardInterrupt, as if the reader had stopped it."),
    (RecursionError, "It calls itself without an end: a case must be left that needs no call."),
    (NameError, "It uses a name that is not defined: {}."),
    (ZeroDivisionError, "It divides by zero."),
    (KeyError, "It looks up a key that is not there: {}. Ask with `.get` or `in` first."),
    (IndexError, "An index points past the end: {}."),
    (AttributeError, "It asks for something that this kind of value does not have: {}."),
    (OverflowError, "A number becomes too large: {}."),
    (AssertionError, "An `assert` of its own fails."),
]


def failure(error: BaseException | None, due: BaseException | None, answer: Any) -> str | None:
    """Say in words why an answer stops with an error, where none is due."""
    if error is None or (due is not None and isinstance(error, type(due))):
        return None
    if due is not None:
        return f"It raises {type(error).__name__}, expected {type(due).__name__}."
    name, text = type(error).__name__, (str(error).splitlines() or [""])[0][:100]
    for types, sentence in KINDS:
        if isinstance(error, types):
            return f"It raises {name}. {sentence.format(text)}"
    if isinstance(error, RuntimeError) and text.startswith("view size is not compatible"):
        return f"It raises {name}. `view` moves nothing, and this order needs a copy: `reshape`."
    if isinstance(error, RuntimeError) and any(w in text for w in ("size", "shape", "dimension")):
        return f"It raises {name}. Two tensors of shapes that do not fit meet: {text}."
    if isinstance(error, TypeError | ValueError | RuntimeError) and text:
        return f"It raises {name}: {text}. The step does not work for values of this kind or size."
    return f"It raises {name}{': ' + text if text else ''}, and so gives no result."


def misfit(answer: Any, case: tuple) -> str | None:
    """Return a sentence if the answer cannot be called with as many arguments as a case has."""
    try:
        signature = inspect.signature(answer)
    except Exception:  # some built-in functions hide theirs
        return None
    try:
        signature.bind(*case)
    except TypeError:
        return f"It is called with {len(case)} arguments, but takes {signature}."
    return None


def names_of(reference: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the first `count` arguments."""
    names = list(inspect.signature(reference).parameters)
    return [names[i] if i < len(names) else f"argument {i + 1}" for i in range(count)]


def slip_of_kind(answer: Any, expected: Sequence[Outcome], got: Sequence[Outcome]) -> str | None:
    """Say that all wrong results are of another kind than asked for: None, a tensor, a text, …"""
    pairs = list(zip(expected, got, strict=True))
    if any(e.error is not None or g.error is not None for e, g in pairs):
        return None
    values = [(e.value, g.value) for e, g in pairs]

    def all_are(test: Callable[[Any, Any], bool]) -> bool:
        return all(test(e, g) for e, g in values)

    if all_are(lambda e, g: e is not None and g is None):
        missing = " Is the `return` missing?" if not _returns(answer) else ""
        return f"It returns None.{missing}"
    if all_are(lambda e, g: _nan(g) and not _nan(e)):
        return (
            "The result is NaN: look for 0 · inf, inf - inf, 0 / 0, or for the root or the "
            "logarithm of a negative number."
        )
    if all_are(lambda e, g: isinstance(g, Iterator)):
        return "It returns a generator or iterator: wrap it in `list(...)`."
    if all_are(lambda e, g: isinstance(g, Tensor) and (g.is_meta or g.layout != torch.strided)):
        word = "a meta tensor, which holds no numbers" if values[0][1].is_meta else "a sparse one"
        return f"It returns {word}: an ordinary tensor is asked for."
    number = (int, float, np.number)
    if all_are(lambda e, g: isinstance(e, number) and isinstance(g, Tensor) and g.numel() == 1):
        return "It returns a tensor where a plain number is asked for: use `.item()`."
    if all_are(lambda e, g: isinstance(e, Tensor) and e.dim() == 0 and isinstance(g, number)):
        return (
            "It returns a plain number where a tensor is asked for: no gradient flows through it."
        )
    if all_are(lambda e, g: isinstance(e, bool) and not isinstance(g, bool | np.bool_)):
        return f"It returns {kind(values[0][1])}, not True or False."
    if all_are(lambda e, g: isinstance(e, number) and isinstance(g, str)):
        return "It returns a text where a number is asked for."
    if all_are(lambda e, g: isinstance(e, int) and isinstance(g, float) and e == g):
        return "It returns a float where an integer is asked for: use `//`, `int` or `math.ceil`."
    if all_are(_only_dtype):
        return f"The numbers are right, but of dtype {str(values[0][1].dtype)[6:]}, not " + (
            f"{str(values[0][0].dtype)[6:]}."
        )
    return _container(values, all_are)


def _nan(value: Any) -> bool:
    if isinstance(value, Tensor):
        dense = value.layout == torch.strided and not value.is_meta and not value.is_complex()
        return dense and value.numel() > 0 and bool(value.isnan().all())
    return isinstance(value, float) and value != value


def _container(values: list, all_are: Callable[[Callable], bool]) -> str | None:
    """Other containers than those asked for."""
    holders = (list, tuple, dict, Tensor)
    if all_are(lambda e, g: isinstance(e, tuple) and isinstance(g, Tensor | int | float)):
        return f"One value alone is returned; {len(values[0][0])} are asked for, as a tuple."
    if all_are(
        lambda e, g: type(e) is type(g) is tuple and len(g) > len(e) and same(e, g[: len(e)])
    ):
        asked, given = map(len, values[0])
        return f"It returns {given} things: only the first {asked} are asked for."
    number = (int, float, np.number)
    if all_are(
        lambda e, g: (
            (isinstance(e, number) or (isinstance(e, Tensor) and e.dim() == 0))
            and isinstance(g, list | np.ndarray)
        )
    ) and any(isinstance(e, Tensor) or np.size(g) != 1 for e, g in values):
        return f"It returns {kind(values[0][1])}: one number is asked for."
    for i in range(2):
        if all_are(lambda e, g, i=i: type(g) is tuple and len(g) == 2 and same(e, g[i])):
            return f"It returns two things: only the {('first', 'second')[i]} is asked for."
    if all_are(lambda e, g: isinstance(g, tuple) and not isinstance(e, list | tuple)):
        return f"It returns a tuple of {len(values[0][1])} where {kind(values[0][0])} is asked for."
    if all_are(lambda e, g: isinstance(e, list | tuple) and isinstance(g, dict | set)):
        return f"It returns {kind(values[0][1])}, not {kind(values[0][0])}: the order is lost."
    if all_are(lambda e, g: isinstance(e, holders) and isinstance(g, str)):
        return f"It returns a text, not {kind(values[0][0])}."
    if all_are(lambda e, g: isinstance(e, holders) and isinstance(g, bool | int | float)):
        return f"It returns {kind(values[0][1])}, not {kind(values[0][0])}."
    if all_are(lambda e, g: isinstance(e, list) and isinstance(g, list) and _untrue(e, g)):
        return "Its list holds numbers or other values where True and False are asked for."
    if all_are(lambda e, g: isinstance(e, list) and isinstance(g, Tensor)):
        return "It returns a tensor, not a list: use `.tolist()`."
    if all_are(
        lambda e, g: isinstance(e, list | tuple) and _holds_tensors(g) and not _holds_tensors(e)
    ):
        return "Its list holds tensors where plain numbers are asked for: use `.tolist()`."
    if all_are(lambda e, g: isinstance(e, dict) and isinstance(g, list | tuple | Tensor | set)):
        return f"It returns {kind(values[0][1])}, not a dictionary: what belongs to what is lost."
    return None


def _untrue(expected: list, got: list) -> bool:
    truths = [[isinstance(item, bool | np.bool_) for item in side] for side in (expected, got)]
    return len(expected) == len(got) > 0 and all(truths[0]) and not all(truths[1])


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Tensor) or _holds_tensors(item) for item in value
    )


def other_items(expected: Sequence[Outcome], got: Sequence[Outcome]) -> str | None:
    """Say that the items of all wrong lists are no texts, where texts are due, or out of order."""
    values = [(e.value, g.value) for e, g in zip(expected, got, strict=True)]
    if not all(isinstance(v, list | tuple) and v for pair in values for v in pair):
        return None
    if all(sorted(map(repr, e)) == sorted(map(repr, g)) for e, g in values):
        return "The items are right, but in another order."
    kinds = [{kind(item) for pair in values for item in pair[side]} for side in (0, 1)]
    if any(len(k) != 1 for k in kinds) or kinds[0] == kinds[1] or kinds[0] != {"a str"}:
        return None
    return f"Each item of its list is {kinds[1].pop()}, not a text."


def _only_dtype(expected: Any, got: Any) -> bool:
    if not (isinstance(expected, Tensor) and isinstance(got, Tensor)):
        return False
    if expected.shape != got.shape or expected.dtype == got.dtype or got.is_complex():
        return False
    loose = 1e-4 if torch.float32 in (expected.dtype, got.dtype) else 0.0
    if torch.bfloat16 in (expected.dtype, got.dtype):
        loose = 1e-2
    return torch.allclose(expected.double(), got.double(), rtol=loose, atol=loose, equal_nan=True)


def _returns(answer: Any) -> bool:
    """Whether the code of an answer returns anything but None."""
    code = _code(answer)
    if code is None:
        return True
    steps = list(dis.get_instructions(code))
    for before, step in zip([None, *steps], steps, strict=False):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return True
        if step.opname == "RETURN_VALUE" and not (
            before.opname.startswith("LOAD_CONST") and before.argval is None
        ):
            return True
    return False


def is_empty(answer: Any) -> bool:
    """Tell whether a function's body is only `...`, `pass` or a docstring."""
    code = _code(answer)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    if code is None or any(step.opname not in idle for step in dis.get_instructions(code)):
        return False
    returned = [s.argval for s in dis.get_instructions(code) if s.opname.endswith("_CONST")]
    return returned[-1] is None


def failing_line(error: BaseException | None, answer: Any) -> list[str]:
    """Return the line of the reader's own code that raised, if it is known."""
    code = _code(answer)
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    mine = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    line = linecache.getline(mine[-1].filename, mine[-1].lineno).strip() if mine else ""
    return [f"in the line: {line}"] if line else []


def _code(answer: Any) -> CodeType | None:
    """The code of a function; None for what is none, or hides it."""
    try:
        code = getattr(answer, "__code__", None)
    except Exception:
        return None
    return code if isinstance(code, CodeType) else None


def uses(answer: Any) -> set[str]:
    """The names and attributes that the code of a function uses."""
    names, codes = set(), [_code(answer)]
    for code in codes:
        if code is not None:
            names |= {*code.co_names}
            codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return names


def _unknown(kind: type, name: str) -> bool:
    """Whether a type has a method neither from Python, NumPy nor PyTorch."""
    owner = next((base for base in kind.__mro__ if name in vars(base)), object)
    room = owner.__module__.split(".")[0]
    return room not in sys.stdlib_module_names and room not in ("numpy", "torch")


def plain(value: Any, around: tuple[int, ...] = ()) -> bool:
    """Whether a value's length and items come from a known kind, not from code of the answer's.

    Nor may a list lie in itself, more than 20 lists in one another, or a range be endless.
    """
    if isinstance(value, Tensor | np.ndarray):
        return True
    if isinstance(value, range):
        return len(value) <= LONGEST
    own = ["__len__", "__iter__", "__getitem__"]
    if not (dataclasses.is_dataclass(value) or isinstance(value, numbers.Number)):
        own.append("__eq__")
    if any(_unknown(type(value), name) for name in own) or id(value) in around or len(around) > 20:
        return False
    if not isinstance(value, list | tuple):
        return True
    inner = [item for item in value if type(item) not in (int, float, str, bool)]
    return all(plain(item, (*around, id(value))) for item in inner)
