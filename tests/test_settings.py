"""One way to check a setting: every config refuses what is no number, no choice, not finite."""

import dataclasses
import fractions
import json
import math
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.generation import GenerationConfig
from lib.model import ModelConfig
from lib.model.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling, YarnScaling
from lib.model.routing import RouterConfig
from lib.settings import require, require_all, require_choice, require_kind, shortened
from lib.training import TrainingConfig

SMALL = dict(vocab_size=11, context_length=16, d_model=12, n_layers=2, n_heads=3, d_ff=20)
NO_NUMBERS = [True, "16", None, math.nan, 1j, [1], np.array([1, 2])]


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["(0, 1]", "[0, inf)"]))
def test_an_interval_holds_what_it_says(value, interval):
    inside = 0 < value <= 1 if interval == "(0, 1]" else 0 <= value < math.inf
    if inside:
        require("x", value, interval)
    else:
        with pytest.raises(ValueError, match=r"x must be .*, got"):
            require("x", value, interval)


@pytest.mark.parametrize("value", [*NO_NUMBERS, math.inf, 1.5], ids=str)
def test_a_whole_number_is_no_other_thing(value):
    with pytest.raises(ValueError, match="n must be an integer at least 1, got "):
        require("n", value, "[1, inf)", whole=True)
    require("n", np.int64(3), "[1, inf)", whole=True)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.uint64])
def test_numpy_numbers_are_numbers(kind):
    """As a loop over np.linspace gives them; they compare with no integer of 1,024 bits."""
    require("x", kind(1), "(0, 1]")
    if kind is np.float64:
        GenerationConfig(do_sample=True, temperature=kind(1))
    with pytest.raises(ValueError, match=r"x must be in \(0, 1\], got "):
        require("x", kind(2), "(0, 1]")
    if issubclass(kind, np.floating):
        for wrong in (np.nan, np.inf, -np.inf):
            with pytest.raises(ValueError, match="x must be a finite number, got "):
                require("x", kind(wrong), "(-inf, inf)")
    else:
        require("x", kind(1), "[1, inf)", whole=True)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, fractions.Fraction], ids=str)
def test_numbers_of_other_libraries_become_pythons_own(kind):
    """A uint8 overflows in the first product, and checkpoints hold settings as JSON."""
    config = TrainingConfig(steps=1, learning_rate=kind(1), betas=(kind(0), kind(0)))
    assert [type(x) for x in (config.learning_rate, *config.betas)] == 3 * [
        int if issubclass(kind, np.integer) else float
    ]
    json.dumps(dataclasses.asdict(config))
    if issubclass(kind, np.integer):
        many = dataclasses.replace(config, batch_size=kind(100), context_length=kind(100))
        assert many.tokens_per_step == 10_000
        model = ModelConfig(**{name: kind(n) for name, n in SMALL.items()}, window=(kind(3), None))
        assert model == ModelConfig(**SMALL, window=(3, None))
        json.dumps(dataclasses.asdict(model))
        assert GenerationConfig(dola_layers=kind(1)).dola_layers == (1,)
    assert type(LinearScaling(2**70).factor) is float  # torch takes no such integer


def test_a_choice_is_of_its_type():
    with pytest.raises(ValueError, match="flag must be one of True, False, got 1"):
        require_choice("flag", 1, (True, False))
    with pytest.raises(ValueError, match="flag must be one of True, False, got 'false'"):
        require_choice("flag", "false", (True, False))


def test_a_value_is_of_its_kind():
    require_kind("count", True, int)
    with pytest.raises(ValueError, match="count must be a int, got '3'"):
        require_kind("count", "3", int)


def test_a_long_value_is_shown_in_short():
    assert len(shortened("x" * 1000)) < 60
    assert shortened(10**5000) == "a int"  # Python refuses to write it
    assert shortened(np.eye(3)).count("\n") == 0


def test_a_number_without_an_interval_must_be_finite():
    @dataclasses.dataclass
    class Some:
        rate: float = 1.0
        seed: int | None = None
        name: str = "a"

    require_all(Some(), {})
    for change in ({"rate": math.nan}, {"seed": 1.0}, {"seed": "1"}, {"name": 3}):
        with pytest.raises(ValueError, match=f"{next(iter(change))} must be "):
            require_all(Some(**change), {})


def small_model(**change):
    return ModelConfig(**(SMALL | change))


CONFIGS = [small_model, RouterConfig, LinearScaling, NTKScaling, Llama3Scaling, YarnScaling]
FIELDS = [
    (make, field.name)
    for make in CONFIGS
    for field in dataclasses.fields(make())
    if field.name not in ("window", "dense_layers", "nope_layers")  # of one number or several
    and (field.type in (int, float) or {int, float} & set(typing.get_args(field.type)))
]


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(("make", "name"), FIELDS)
def test_every_number_of_a_config_is_checked(make, name):
    wrong = [value for value in NO_NUMBERS if value is not None]
    for value in [*wrong, math.inf, -math.inf, -1, 10**400]:
        with pytest.raises(ValueError, match=rf"{name} must be .*, got "):
            make(**{name: value})


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("make", CONFIGS)
def test_a_flag_is_true_or_false(make):
    for field in dataclasses.fields(make()):
        if field.type is bool:
            for value in ("false", 1, None):
                with pytest.raises(ValueError, match=f"{field.name} must be one of True, False"):
                    make(**{field.name: value})


def test_layers_are_cut_with_the_settings_that_differ_by_layer():
    config = ModelConfig(
        **(SMALL | {"n_layers": 4}), window=(4, 4, 4, None), n_experts=4, dense_layers=(0, 3)
    )
    short = config.with_layers(2)
    assert (short.n_layers, short.window, short.dense_layers) == (2, (4, 4), (0,))
    with pytest.raises(ValueError, match=r"n_layers must be an integer in \[1, 4\], got 5"):
        config.with_layers(5)
