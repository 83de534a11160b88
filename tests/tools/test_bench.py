"""The frame of the measurements; no test asserts a time, so the clock is replaced."""

import json

import pytest

from tools.bench import __main__ as bench
from tools.bench import measure
from tools.bench.measure import compare, limit


@pytest.fixture
def clock(monkeypatch):
    """Makes each call take as many seconds as the function says."""
    monkeypatch.setattr(measure, "seconds", lambda function: function())


def test_seconds_compare_as_seconds(clock):
    row = compare("x", lambda: 3.0, lambda: 2.0, "peer", budget=2.0, command="c")
    assert (row.ours, row.peer, row.ratio, row.spread) == (3.0, 2.0, 1.5, (1.5, 1.5))
    assert row.met
    assert not compare("x", lambda: 5.0, lambda: 2.0, "peer", budget=2.0, command="c").met


def test_amounts_compare_as_speeds(clock):
    options = {"amount": 60, "unit": "tokens/s", "command": "c"}
    row = compare("x", lambda: 2.0, lambda: 3.0, "peer", budget=1.5, **options)
    assert (row.ours, row.peer, row.ratio) == (30.0, 20.0, 1.5)
    assert row.met
    assert not compare("x", lambda: 3.0, lambda: 3.0, "peer", budget=1.5, **options).met


def test_a_limit_needs_no_peer():
    assert limit("x", 1.0, "s", budget=1, command="c").met
    assert not limit("x", 1.1, "s", budget=1, command="c").met


def test_ours_and_peer_take_turns(clock):
    calls = []

    def take(name):
        calls.append(name)
        return 1.0

    compare("x", lambda: take("a"), lambda: take("b"), "p", budget=1, command="c", repeats=4)
    assert "".join(calls) == "ab" + "abbaabba"


def test_bad_options(clock):
    with pytest.raises(ValueError, match="repeats must be at least 3"):
        compare("x", lambda: 1, lambda: 1, "p", budget=1, command="c", repeats=2)
    with pytest.raises(ValueError, match="amount and its unit together"):
        compare("x", lambda: 1, lambda: 1, "p", budget=1, command="c", amount=3)


def test_other_results_are_kept(clock, tmp_path):
    path = tmp_path / "bench.json"
    row = compare("x", lambda: 1.0, lambda: 2.0, "p", budget=1, command="c")
    bench.keep({"b": [row]}, path)
    bench.keep({"a": [row], "b": [row, row]}, path)
    kept = json.loads(path.read_text())
    assert {name: len(result["rows"]) for name, result in kept.items()} == {"a": 1, "b": 2}
    assert kept["a"]["rows"][0]["met"] is True


def test_unknown_name(capsys):
    with pytest.raises(SystemExit):
        bench.main(["nothing"])
    assert "no measurement 'nothing'" in capsys.readouterr().err
