"""`check` names mistakes, copes with every kind of bad answer, and never raises."""

import contextlib
import dataclasses
import random
import threading
import time
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.exercises import Exercise, reports
from lib.exercises.checking import Probe
from lib.exercises.comparing import brief, difference
from lib.exercises.running import TooSlow, call_within, copy_of, differs, fixed_random_numbers, run
from tests.exercises.assertions import answers_in, assert_exercise


def softmax_cases(seed):
    random_numbers = torch.Generator().manual_seed(seed)
    sizes = [(1, 3), (2, 3), (4, 4), (2, 3, 5)]
    return [(torch.randn(size, generator=random_numbers), 0.5 + seed) for size in sizes]


def softmax(logits, temperature, *, heat="divides", axis=-1, scaled=True, product=False):
    logits = logits @ logits if product else logits
    logits = logits / temperature if heat == "divides" else logits * temperature
    return torch.softmax(logits, dim=axis) if scaled else logits.exp()


SOFTMAX = Exercise(
    title="Softmax with a temperature",
    reference=softmax,
    cases=softmax_cases,
    switches={
        "heat": {"multiplies": "It multiplies by the temperature; divide the logits by it."},
        "axis": {0: "The softmax runs over the first dimension; it must run over the last."},
        "scaled": {False: "It does not divide by the sum."},
        "product": {True: "Nothing is to be multiplied with itself."},
    },
    difficulty=1,
    minutes=5,
    seconds=0.5,
)


def stub(logits, temperature):
    raise NotImplementedError


def solution(logits, temperature):
    exponentials = (logits / temperature - (logits / temperature).amax(-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def report_of(answer, exercise=SOFTMAX):
    report = exercise.report(answer)
    assert str(report) == str(exercise.report(answer)), "a report must not depend on chance"
    return report


def test_the_exercise_proves_itself():
    halves = (lambda logits, temperature: solution(logits, temperature) / 2, "1/2 times")
    assert_exercise(SOFTMAX, stub, solution, [halves])


FLAT = {"axis": {-1: "It runs over the wrong dimension."}}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"switches": {"heat": SOFTMAX.switches["heat"]}}, "fewer than three"),
        ({"switches": SOFTMAX.switches | FLAT}, "the slip axis = -1 passes"),
        ({"reference": lambda *a, **s: softmax(*a, heat="multiplies", **s)}, "temperature"),
    ],
)
def test_a_bad_exercise_does_not_prove_itself(change, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_exercise(dataclasses.replace(SOFTMAX, **change), stub, solution)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(solution, "passes: Another."), (lambda *a: softmax(*a, axis=0), "expected 'Another.'")],
)
def test_a_wrong_answer_must_get_its_message(answer, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_exercise(SOFTMAX, stub, solution, [(answer, "Another.")])


def test_two_slips_at_once_are_both_named():
    message = report_of(lambda *a: softmax(*a, heat="multiplies", axis=0)).mistake
    assert "multiplies by the temperature" in message
    assert "over the first dimension" in message


def empty(logits, temperature): ...


def documented(logits, temperature):
    """Only this."""


@pytest.mark.parametrize("answer", [stub, empty, documented, ..., None])
def test_stubs_are_open(answer):
    report = report_of(answer)
    assert report.status == "open"
    assert str(report) == (
        "Not answered yet: Softmax with a temperature. Difficulty 1 of 3, about 5 minutes."
    )


def forgets_return(logits, temperature):
    torch.softmax(logits / temperature, dim=-1)


def in_place(logits, temperature):
    logits /= temperature
    return torch.softmax(logits, dim=-1)


def for_ever(logits, temperature):
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def only_small(logits, temperature):
    result = solution(logits, temperature)
    return result if logits.shape[-1] == 3 else result + torch.arange(result.shape[-1]) ** 1.7


def quits(logits, temperature):
    raise SystemExit


def recurses(logits, temperature):
    return recurses(logits, temperature)


def typo(logits, temperature):
    return torch.softmax(logit / temperature, dim=-1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (forgets_return, "returns None. Is the `return` missing?"),
        (in_place, "changes its argument `logits` in place"),
        (for_ever, "stopped after 0.5 s"),
        (only_small, "right in 4 of 8 cases"),
        (quits, "raises SystemExit"),
        (recurses, "raises RecursionError"),
        (typo, "raises NameError"),
        (lambda logits: logits, "called with 2 arguments, but takes (logits)"),
        (lambda *a: solution(*a).mT, "The last two dimensions are swapped"),
        (lambda *a: solution(*a).flatten(), "it is flattened"),
        (lambda *a: solution(*a)[0], "Only the first row is returned"),
        (lambda *a: solution(*a) * torch.nan, "The result is NaN"),
        (lambda *a: solution(*a) / 2, "1/2 times"),
        (lambda *a: solution(*a) + torch.eye(3)[:1], "At [0, 0] it is"),
        (lambda *a: iter(solution(*a)), "generator"),
        (0.5, "A function is asked for, got 0.5"),
        (print, "returns None"),
    ],
)
def test_bad_answers_are_named(answer, message):
    report = report_of(answer)
    assert report.status == "wrong"
    assert message in report.message


@pytest.mark.parametrize("change", [torch.Tensor.tolist, torch.Tensor.double, torch.Tensor.numpy])
def test_what_is_not_the_subject_is_accepted(change):
    assert report_of(lambda *a: change(solution(*a))).passed


def test_a_named_mistake_is_told_apart_from_a_difference():
    named, difference_only = report_of(lambda *a: -solution(*a)), report_of(only_small)
    assert named.mistake == named.message == "The sign is turned."
    assert difference_only.mistake is None


def interrupts(logits, temperature):
    raise KeyboardInterrupt


def prints_without_end(logits, temperature):
    while True:
        print("x" * 1000)


class Hostile(list):
    def __len__(self):
        while True:
            pass

    __repr__ = __len__


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (interrupts, "raises KeyboardInterrupt"),
        (prints_without_end, "prints without an end"),
        (lambda *a: Hostile(), "cannot be looked at"),
        (lambda *a: solution(*a).to("meta"), "a meta tensor"),
        (lambda *a: solution(*a).to_sparse(), "a sparse one"),
    ],
)
def test_hostile_answers_are_contained(answer, message):
    assert message in SOFTMAX.report(answer).message


def test_a_counter_is_a_dictionary_and_one_of_ones_own_is_not_looked_at():
    class Own(Counter):
        def __eq__(self, other):
            raise RuntimeError

    count = Exercise("Counts", lambda text: dict(Counter(text)), lambda seed: [("a",), ("abba",)])
    assert count.report(Counter).status == "right"
    assert "cannot be looked at" in count.report(Own).message


def test_a_probe_is_not_named_where_each_case_stops():
    probe = Probe("A single logit has the probability 1.", (torch.ones(1, 1), 1.0))
    exercise = dataclasses.replace(SOFTMAX, probes=[probe])

    def single(logits, temperature):
        return solution(logits, temperature) * (0 if logits.numel() == 1 else 1)

    assert report_of(single, exercise).message == probe.sentence
    assert "raises TypeError" in report_of(lambda z, t: z @ t, exercise).message


def test_global_settings_are_put_back_and_told():
    def leaks(logits, temperature):
        torch.set_default_dtype(torch.float64)
        return solution(logits, temperature)

    assert "`torch.set_default_dtype` stays" in report_of(leaks).message
    assert torch.get_default_dtype() == torch.float32


def test_the_example_is_the_smallest_case_and_shows_the_line():
    example = report_of(typo).example
    assert example.splitlines()[1:] == [
        "temperature = 0.5",
        f"expected: {brief(SOFTMAX.reference(*softmax_cases(0)[0]))}",
        "got: NameError: name 'logit' is not defined",
        "in the line: return torch.softmax(logit / temperature, dim=-1)",
    ]
    assert example.startswith("logits = tensor([[")


def test_the_smallest_wrong_case_is_shown():
    exercise = Exercise(
        "Length", len, lambda seed: [("long text",), ("ab",), ("abc",), ("",)], 1, 1
    )
    assert report_of(lambda text: min(len(text), 1), exercise).example.splitlines() == [
        "obj = 'ab'",
        "expected: 2",
        "got: 1",
    ]


def test_a_wrong_answer_that_fails_as_a_slip_does_gets_its_sentence():
    def squares(logits, temperature):
        return ((logits @ logits) / temperature).softmax(-1)

    assert "multiplied with itself" in report_of(squares).message


def test_calling_shows_the_report_and_never_raises(monkeypatch):
    shown = []
    monkeypatch.setattr(reports, "publish", shown.append)
    assert SOFTMAX(solution) is None
    SOFTMAX(typo)
    SOFTMAX(lambda *a: "<b>*x*</b> `y`")
    broken = Exercise("Broken", lambda: 1, lambda seed: 1 / 0, 1, 1)
    broken(lambda: 1)
    markdown = [data["text/markdown"] for data in shown]
    assert markdown[0] == (
        "**Right: Softmax with a temperature.** It equals the reference in 8 cases."
    )
    assert "```text\nlogits = tensor(" in markdown[1]
    assert "````" not in markdown[1]
    assert "failed with ZeroDivisionError: division by zero" in markdown[3]
    assert shown[0]["text/plain"].startswith("Right: Softmax")


def test_markup_in_messages_is_escaped():
    words = Exercise("Words", lambda: "a", lambda seed: [()], 1, 1)
    report = report_of(lambda: "<b>*x*</b>", words)
    assert "&#60;b&#62;&#42;x" in reports.markdown(report.message)
    assert reports.markdown("use `a[_]` not a_b") == "use `a[_]` not a&#95;b"


def chance():
    return torch.rand(2), np.random.rand(), random.random()  # noqa: NPY002


def test_random_numbers_are_fixed():
    assert report_of(chance, Exercise("Sample", chance, lambda seed: [()], 1, 1)).passed


def test_random_numbers_are_given_back():
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    before = states()
    with fixed_random_numbers():
        chance()
    assert states() == before


def test_an_expected_error_must_be_raised():
    def reference(top_p):
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {top_p}")
        return top_p

    exercise = Exercise("Bounds", reference, lambda seed: [(0.5,), (1.7,)], 1, 1)
    assert report_of(reference, exercise).passed
    assert "where ValueError must be raised" in report_of(lambda top_p: top_p, exercise).message
    assert (
        "raises KeyError, expected ValueError"
        in report_of(lambda top_p: top_p if top_p < 1 else {}[top_p], exercise).message
    )


def test_answers_that_are_not_functions():
    class Upper:
        def encode(self, text):
            return [ord(c) for c in text.upper()]

    class Bytes:
        def encode(self, text):
            return list(text.encode())

    exercise = Exercise(
        title="Encoder",
        reference=lambda text, unit="letters": (
            [ord(c) for c in text] if unit == "letters" else list(text.encode())
        ),
        cases=lambda seed: [("a",), ("aé",)],
        switches={"unit": {"bytes": "These are bytes, not code points."}},
        difficulty=2,
        minutes=10,
        call=lambda encoder, text: encoder().encode(text),
    )
    assert report_of(Bytes, exercise).message == "These are bytes, not code points."
    assert "In item 0: It returns 65, expected 97" in report_of(Upper, exercise).message
    assert "AttributeError" in report_of(object, exercise).message


# Comparing


@dataclasses.dataclass
class Pair:
    """What some answers return."""

    a: object
    b: object


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_equals_its_copy(value):
    assert difference(value, copy_of(value)) is None
    assert not differs(value, copy_of(value))


@given(VALUES, VALUES)
def test_comparing_never_raises_and_is_symmetric_where_types_agree(a, b):
    if type(a) is type(b) and not isinstance(a, float | list | dict):
        assert (difference(a, b) is None) == (difference(b, a) is None)
    assert difference(a, b) is None or len(difference(a, b)) > 10


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=6),
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=6),
)
def test_tensors_are_compared_as_torch_does(a, b):
    expected, got = torch.tensor(a), torch.tensor(b)
    try:
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
        same = True
    except AssertionError:
        same = False
    assert (difference(expected, got) is None) == same
    arrays = difference(expected.numpy(), got.numpy())
    assert (arrays is None) == same


@pytest.mark.parametrize(
    ("expected", "got", "message"),
    [
        (True, 1, "an int, expected True or False"),
        (1, True, "a bool, expected a number"),
        (1.0, torch.tensor([1.0]), "use `.item()`"),
        (1.5, 2.5, "returns 2.5, expected 1.5"),
        (float("inf"), 2.5, "returns 2.5, expected inf"),
        ("abc", "abd", "from position 2 on: 'd', not 'c'"),
        ("abc", b"abc", "a bytes, expected a str"),
        ({"a": 1}, {"b": 1}, "The key 'a' is missing"),
        ({"a": 1}, {"a": 1, "b": 1}, "The key 'b' should not be there"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "Under the key 'a': In item 1"),
        ([1], [1, 2], "2 items, expected 1"),
        ({1}, {2}, "returns {2}, expected {1}"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "At [1] it is 3, expected 2"),
        (torch.tensor(1), torch.tensor(2), "It is 2, expected 1"),
        (np.zeros(2), torch.zeros(2), "a tensor, expected a NumPy array"),
        (torch.tensor([1 + 1j]), torch.tensor([1 + 2j]), "At [0, 1] it is 2, expected 1"),
        (Pair(torch.ones(1), 2), Pair(torch.zeros(1), 2), "Under the key 'a': At [0] it is 0"),
    ],
)
def test_differences_are_told(expected, got, message):
    assert message in difference(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (2, 2.0),
        (1.0, np.float32(1.0)),
        ((1, 2), [1, 2]),
        (float("nan"), float("nan")),
        (torch.tensor([float("inf"), float("nan")]), torch.tensor([float("inf"), float("nan")])),
    ],
)
def test_harmless_differences_pass(expected, got):
    assert difference(expected, got) is None


def test_brief_is_short():
    assert brief(torch.zeros(3, 10)) == "tensor of shape (3, 10), float32"
    assert brief(torch.tensor([[0.12345, 1]])) == "tensor([[0.1235, 1]])"
    assert brief(torch.zeros(0, 2)) == "tensor([]) of shape (0, 2)"
    assert len(brief("x" * 1000)) == 160
    assert brief((torch.tensor([1]), 2)) == "(tensor([1]), 2)"


# Running


def test_an_answer_on_a_busy_machine_may_take_long_but_one_that_waits_may_not():
    """A sixth of the processor or less: the wall clock runs away from what the answer spends."""

    def starved():
        for _ in range(12):
            begin = time.process_time()
            while time.process_time() - begin < 0.008:
                pass
            time.sleep(0.1)
        return 3

    assert call_within(0.15, starved) == 3  # 1.3 s by the clock, where one that waits has 0.9
    begin = time.monotonic()
    for waits in (lambda: time.sleep(60), lambda: (starved(), time.sleep(60))):
        with pytest.raises(TooSlow):
            call_within(0.15, waits)
    assert time.monotonic() - begin < 30


def test_a_thread_is_stopped_where_there_are_no_signals():
    results = []

    def work():
        results.append(call_within(5.0, lambda: 3))
        for function in (lambda: for_ever(None, None), lambda: 1 / 0):
            with pytest.raises((TooSlow, ZeroDivisionError)) as caught:
                call_within(0.2, function)
            results.append(caught.type)

    before = threading.active_count()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [3, TooSlow, ZeroDivisionError]
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before, "the endless answer still runs"


@pytest.mark.parametrize(
    "argument",
    [
        torch.zeros(2),
        np.zeros(2),
        [1, 2],
        {"a": [1]},
        {1},
        ([1], 2),
        [torch.zeros(2)],
        {"t": np.zeros(2)},
    ],
)
def test_changes_in_place_are_seen_and_kept_from_the_caller(argument):
    def spoil(x):
        if isinstance(x, torch.Tensor | np.ndarray):
            x[0] = 1
        elif isinstance(x, list) and isinstance(x[0], int):
            x.append(3)
        elif isinstance(x, set):
            x.add(3)
        else:
            spoil(x[next(iter(x))] if isinstance(x, dict) else x[0])

    before = copy_of(argument)
    assert run(spoil, [argument], 1.0).changed == (0,)
    assert not differs(before, argument)
    assert run(lambda x: 1, [argument], 1.0).changed == ()


def test_copies_keep_gradients_and_generators_and_share_models():
    weight = torch.ones(2, requires_grad=True)
    assert copy_of(weight).requires_grad
    generator = torch.Generator().manual_seed(1)
    twin = copy_of(generator)
    assert torch.equal(torch.rand(3, generator=twin), torch.rand(3, generator=generator))
    dice = random.Random(1)
    assert copy_of(dice).random() == dice.random()
    model = torch.nn.Linear(1, 1)
    assert copy_of(model) is model


CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# A chapter

```{code-cell} ipython3
%matplotlib inline
import torch
from lib.exercises.checking import (
    Exercise,
)
```

```{code-cell} ipython3
:tags: [exercise]

def my_softmax(logits, temperature):
    raise NotImplementedError


check_softmax(my_softmax)
```

<details>
<summary>Solution</summary>

```python
def scaled(logits, temperature):
    return logits / temperature


def my_softmax(logits, temperature):
    return torch.softmax(scaled(logits, temperature), dim=-1)
```

</details>
"""


def test_answers_are_read_from_the_chapter(tmp_path):
    (tmp_path / "00_sample.md").write_text(CHAPTER)
    stubs, solutions = answers_in("00_sample", tmp_path)
    assert set(stubs) == {"my_softmax"}
    assert_exercise(SOFTMAX, stubs["my_softmax"], solutions["my_softmax"])
    (tmp_path / "00_sample.md").write_text(CHAPTER.replace("<details>", "<div>"))
    with pytest.raises(AssertionError, match="no solution for \\['my_softmax'\\]"):
        answers_in("00_sample", tmp_path)
