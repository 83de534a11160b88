"""Settings out of range are named, contradictions are refused, and the order is what it says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig as TheirConfig
from transformers import LlamaConfig, LlamaForCausalLM

from lib.generation import GenerationConfig
from lib.generation.decode import next_token
from lib.generation.logits import DEFAULT_ORDER, LLAMA_CPP_ORDER, PROCESSORS, History
from lib.settings import require
from tests.generation.strategies import logits

EOS = 11


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be an integer at least 1, got 0"),
        ({"temperature": 0.0}, r"temperature must be above 0, got 0\.0"),
        ({"temperature": math.nan}, "temperature must be above 0, got nan"),
        ({"temperature": math.inf}, "temperature must be above 0, got inf"),
        ({"top_k": -1}, "top_k must be an integer at least 0, got -1"),
        ({"top_p": 1.7}, r"top_p must be in \(0, 1\], got 1\.7"),
        ({"top_h": 0.0}, r"top_h must be in \(0, 1\], got 0\.0"),
        ({"mirostat_mode": 3}, r"mirostat_mode must be an integer in \[0, 2\], got 3"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0, got 0.0"),
        ({"dry_penalty_last_n": 0}, "dry_penalty_last_n must be an integer at least 1, got 0"),
        ({"order": ("temperature", "warp")}, r"order must hold each of sequence_bias.*'warp'"),
        ({"order": ("top_k", "top_k")}, "at most once"),
        (
            {"do_sample": True, "top_k": 5, "top_p": 0.5, "order": ("top_p",)},
            "top_k: switched on, but not in order",
        ),
        ({"top_p": 0.9}, "top_p: no effect without do_sample=True"),
        ({"temperature": 0.5, "min_p": 0.1}, "min_p, temperature: no effect without do_sample"),
        (
            {"do_sample": True, "mirostat_mode": 2, "top_k": 40, "min_p": 0.1},
            "mirostat_mode=2 sets the cut itself; leave out min_p, top_k",
        ),
        ({"min_length": 5}, "no effect without eos_token_id"),
        ({"min_new_tokens": 65, "eos_token_id": 1}, "min_new_tokens must be at most"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)


@pytest.mark.parametrize("value", [2.5, "2", None, True, math.nan])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="top_k must be an integer at least 1, got"):
        require("top_k", value, "[1, inf)", whole=True)


def test_everything_is_off_by_default():
    for do_sample in (False, True):
        assert GenerationConfig(do_sample=do_sample).steps == []


def test_orders_hold_what_is_there():
    assert set(DEFAULT_ORDER) == set(PROCESSORS)
    assert set(LLAMA_CPP_ORDER) < set(PROCESSORS)
    assert LLAMA_CPP_ORDER[-1] == "temperature"


SETTINGS = {
    "temperature": st.floats(0.2, 3),
    "top_k": st.integers(1, 12),
    "top_p": st.floats(0.1, 0.99),
    "min_p": st.floats(0.01, 1),
    "typical_p": st.floats(0.1, 0.99),
    "top_h": st.floats(0.1, 0.99),
    "epsilon_cutoff": st.floats(1e-4, 0.5),
    "eta_cutoff": st.floats(1e-4, 0.5),
    "repetition_penalty": st.floats(0.5, 3),
    "no_repeat_ngram_size": st.integers(1, 3),
    "min_new_tokens": st.integers(1, 4),
    "min_length": st.integers(1, 9),
}
OPTIONAL = st.fixed_dictionaries({}, optional=SETTINGS)


def their_processors(settings, prompt_length):
    """What transformers' generate would build."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=12, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=1, max_position_embeddings=64,
        )
    )  # fmt: skip
    config = TheirConfig(**{"do_sample": True, "top_k": 0, "eos_token_id": EOS} | settings)
    model._prepare_special_tokens(config, device="cpu")
    return model._get_logits_processor(config, input_ids_seq_length=prompt_length)


@pytest.mark.parity(
    "any combination of settings, in order", "transformers' _get_logits_processor", "identical"
)
@given(batch=logits(rows=2), settings=OPTIONAL, data=st.data())
def test_the_default_order_is_that_of_transformers(batch, settings, data):
    prompt_length = data.draw(st.integers(1, 4))
    length = prompt_length + data.draw(st.integers(0, 4))
    ids = data.draw(
        st.lists(st.lists(st.integers(0, 5), min_size=length, max_size=length),
                 min_size=len(batch), max_size=len(batch))
    )  # fmt: skip
    ids = torch.tensor(ids)
    config = GenerationConfig(do_sample=True, eos_token_id=EOS, **settings)
    result = config.process(batch, History(ids, prompt_length))
    expected = their_processors(settings, prompt_length)(ids, batch.clone())
    both_nothing = ~expected.isfinite().any(-1) & ~result.isfinite().any(-1)
    both_nothing |= expected.isnan().any(-1)  # what is left of a row where all is forbidden
    assert torch.equal(result[~both_nothing], expected[~both_nothing])


def test_the_order_can_be_changed():
    batch = torch.tensor([[3.0, 2.0, 1.0, 0.0]])

    def support(order):
        config = GenerationConfig(do_sample=True, temperature=3.0, min_p=0.2, order=order)
        assert [name for name, _ in config.steps] == list(order)
        return int(config.process(batch).isfinite().sum())

    assert support(("temperature", "min_p")) == 4
    assert support(("min_p", "temperature")) == 2


def test_each_name_switches_on_one_step():
    on = {
        "sequence_bias": {"sequence_bias": {(1,): 2.0}},
        "repetition_penalty": {"repetition_penalty": 1.3},
        "presence_penalty": {"presence_penalty": 1.0},
        "frequency_penalty": {"frequency_penalty": 1.0},
        "dry_multiplier": {"dry_multiplier": 0.8, "dry_allowed_length": 1},
        "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
        "bad_words_ids": {"bad_words_ids": [[1], [3]]},
        "min_length": {"min_length": 9, "eos_token_id": 1},
        "temperature": {"temperature": 0.5},
        "smoothing_factor": {"smoothing_factor": 0.4},
        "top_n_sigma": {"top_n_sigma": 0.5},
        "top_h": {"top_h": 0.5},
        "top_k": {"top_k": 2},
        "top_p": {"top_p": 0.5},
        "min_p": {"min_p": 0.5},
        "top_a": {"top_a": 0.9},
        "tfs": {"tfs": 0.5},
        "p_less": {"p_less": True},
        "typical_p": {"typical_p": 0.3},
        "epsilon_cutoff": {"epsilon_cutoff": 0.2},
        "eta_cutoff": {"eta_cutoff": 0.9},
        "xtc_probability": {"xtc_probability": 1.0, "xtc_threshold": 0.1},
    }
    assert set(on) == set(PROCESSORS) - {"grammar"}  # which needs a tokenizer: test_grammar.py
    batch = torch.tensor([[2.0, 1.5, 1.0, -3.0]])
    history = History(torch.tensor([[1, 2, 1, 3, 1]]), 2)
    for name, settings in on.items():
        draws = PROCESSORS[name].draws
        config = GenerationConfig(do_sample=draws, **settings)
        ((found, step),) = config.steps
        assert found == name
        assert not torch.equal(step(batch, history), batch), name


def test_presence_counts_the_continuation_and_repetition_the_prompt_too():
    batch, history = torch.ones(1, 4), History(torch.tensor([[0, 1, 2]]), 2)
    (_, presence), (_, repetition) = (
        GenerationConfig(presence_penalty=1.0).steps
        + GenerationConfig(repetition_penalty=2.0).steps
    )
    assert presence(batch, history)[0].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert repetition(batch, history)[0].tolist() == [0.5, 0.5, 0.5, 1.0]


def test_a_penalty_without_the_text_is_an_error():
    with pytest.raises(ValueError, match="need the text so far: pass history"):
        next_token(torch.zeros(1, 4), GenerationConfig(presence_penalty=1.0))
    with pytest.raises(ValueError, match="pass history"):
        next_token(torch.zeros(1, 4), GenerationConfig(do_sample=True, mirostat_mode=2))


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_nothing_to_choose_from_is_named(do_sample, bad):
    batch = torch.zeros(2, 4)
    batch[1] = bad
    config = GenerationConfig(do_sample=do_sample, bad_words_ids=[[3]])
    history = History(torch.zeros(2, 1, dtype=torch.long), 1)
    with pytest.raises(ValueError, match="row 1 has no token to choose"):
        next_token(batch, config, history=history)
    everything = GenerationConfig(do_sample=do_sample, bad_words_ids=[[i] for i in range(4)])
    with pytest.raises(ValueError, match="row 0 has no token to choose"):
        next_token(torch.zeros(2, 4), everything, history=history)
