import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.generation import GenerationConfig, generate, stream_text
from lib.generation.decode import next_token
from lib.generation.logits import History
from lib.model import LanguageModel, ModelConfig
from lib.tokenization import BPETokenizer


@pytest.mark.parity("greedy decoding, batched and padded", "transformers generate", "identical")
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_equals_transformers(pair, use_cache):
    model, reference = pair
    ids = torch.randint(1, 97, (3, 8))
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, :3] = mask[2, :6] = False
    expected = reference.generate(
        ids,
        attention_mask=mask.long(),
        max_new_tokens=20,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    out = generate(
        model, ids, GenerationConfig(max_new_tokens=20, use_cache=use_cache), attention_mask=mask
    )
    assert torch.equal(out.ids, expected)
    assert out.new_ids.shape == (3, 20)
    assert out.prefill_seconds > 0
    assert out.tokens_per_second > 0


@pytest.mark.parametrize("pad", [0, None])  # None: both take the first stop id
def test_rows_that_stop_are_filled(pair, pad):
    model, reference = pair
    ids = torch.randint(1, 97, (4, 6))
    greedy = generate(model, ids, GenerationConfig(max_new_tokens=24)).new_ids
    stop = (greedy[0, 3].item(), greedy[1, 9].item())
    expected = reference.generate(
        ids, max_new_tokens=24, do_sample=False, eos_token_id=list(stop), pad_token_id=pad
    )
    config = GenerationConfig(max_new_tokens=24, eos_token_id=stop, pad_token_id=pad)
    assert torch.equal(generate(model, ids, config).ids, expected)


def test_seed_repeats_and_differs(pair):
    model, _ = pair
    ids = torch.randint(97, (2, 4))

    def draw(seed):
        config = GenerationConfig(max_new_tokens=16, do_sample=True, seed=seed)
        return generate(model, ids, config).ids

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parity("sampled frequencies, 20,000 draws", "chi-square against softmax", "p > 0.001")
def test_draws_follow_the_distribution():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0, -30.0]])
    config = GenerationConfig(do_sample=True, temperature=1.3, top_k=4)
    generator = torch.Generator().manual_seed(0)
    draws = next_token(logits.expand(20_000, -1), config, generator)
    counts = torch.bincount(draws, minlength=6)
    expected = (logits[0, :4] / 1.3).softmax(-1) * 20_000
    assert counts[4:].sum() == 0
    assert chisquare(counts[:4].numpy(), expected.numpy()).pvalue > 0.001


def test_stream_gives_the_same_text(smollm2):
    model, tokenizer = smollm2
    config = GenerationConfig(max_new_tokens=24, eos_token_id=tokenizer.eos_id)
    prompt = "<|im_start|>user\nReply with three emoji.<|im_end|>\n<|im_start|>assistant\n"
    pieces = list(stream_text(model, tokenizer, prompt, config))
    ids = torch.tensor([tokenizer.encode(prompt, allowed_special="all")])
    new = generate(model, ids, config).new_ids[0].tolist()
    if new[-1] == tokenizer.eos_id:
        new.pop()
    assert "".join(pieces) == tokenizer.decode(new)


BYTES = BPETokenizer.train("abc" * 9, 256)
ID = {BYTES.decode_bytes([i]): i for i in range(256)}


def told(data):
    """The stream of a model that writes these bytes."""
    model = LanguageModel(ModelConfig.gpt2(vocab_size=256, d_model=8, n_layers=1, n_heads=1)).eval()
    text = tuple(ID[bytes([byte])] for byte in b"\0" + data)
    biases = {text[: i + 2]: math.inf for i in range(len(data))}

    def stream(**settings):
        config = GenerationConfig(max_new_tokens=len(data), sequence_bias=biases, **settings)
        return list(stream_text(model, BYTES, "\0", config))

    return stream


@settings(max_examples=30, deadline=None)
@given(text=st.binary(min_size=1, max_size=12) | st.text(min_size=1, max_size=6).map(str.encode))
def test_a_stream_is_the_text_whatever_the_bytes(text):
    text = text.replace(b"\0", b"-")
    assert "".join(told(text)()) == text.decode(errors="replace")


def test_a_stream_ends_before_a_stop_string():
    assert told(b"one. two")(stop_strings=(". ", "x")) == [*"one"]
    assert "".join(told("äöü".encode())(stop_strings=("ü",))) == "äö"
    assert "".join(told(b"aab")(stop_strings=("aac",))) == "aab"  # begun and not completed
    with pytest.raises(ValueError, match=r"stop_strings must be texts, got \('',\)"):
        GenerationConfig(stop_strings=("",))


def test_stop_strings_end_each_row(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode("one two three four five")] * 2)
    free = tokenizer.decode(generate(model, ids, GenerationConfig(max_new_tokens=8)).new_ids[0])
    stop = free[-7:-3]  # across tokens
    config = GenerationConfig(max_new_tokens=16, stop_strings=(stop, "#"))
    new = generate(model, ids, config, tokenizer=tokenizer).new_ids
    text, before = tokenizer.decode(new[0]), tokenizer.decode(new[0, :-1])
    assert stop in text
    assert stop not in before
    with pytest.raises(ValueError, match="need the tokenizer: pass tokenizer"):
        generate(model, ids, config)


def test_masks_are_checked_in_every_way_to_decode(pair):
    model, _ = pair
    ids = torch.randint(1, 97, (2, 7))
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, :3] = False
    for way in ({}, {"num_beams": 2}, {"penalty_alpha": 0.5, "top_k": 4}, {"dola_layers": "low"}):
        config = GenerationConfig(max_new_tokens=4, **way)
        expected = generate(model, ids, config, mask).ids
        assert torch.equal(generate(model, ids, config, mask.long()).ids, expected)
        for wrong, message in (
            (mask.flip(1), "pad prompts on the left"),
            (mask.long() * 2, "got 2"),
        ):
            with pytest.raises(ValueError, match=message):
                generate(model, ids, config, wrong)
        with pytest.raises(ValueError, match="eos_token_id holds the id 97; ids must be in 0"):
            generate(model, ids, GenerationConfig(max_new_tokens=4, eos_token_id=97, **way))


def test_nan_logits_are_named_whatever_the_filter():
    logits = torch.zeros(1, 8)
    logits[0, 3] = torch.nan
    for setting in (
        {"top_k": 2}, {"top_p": 0.5}, {"min_p": 0.5}, {"top_a": 0.5}, {"tfs": 0.5}, {"top_h": 0.5},
        {"typical_p": 0.5}, {"epsilon_cutoff": 0.1}, {"eta_cutoff": 0.1}, {"top_n_sigma": 1.0},
        {"xtc_probability": 1.0}, {"mirostat_mode": 1}, {"mirostat_mode": 2}, {"temperature": 0.5},
        {"dynatemp_range": 0.5}, {"smoothing_factor": 0.5}, {},
    ):  # fmt: skip
        history = History(torch.zeros(1, 1).long(), 1)
        with pytest.raises(ValueError, match="row 0 has no token to choose"):
            next_token(logits, GenerationConfig(do_sample=True, **setting), None, history)


@pytest.mark.parity("greedy with penalties and constraints", "transformers generate", "identical")
def test_penalized_greedy_equals_transformers(pair):
    model, reference = pair
    ids = torch.randint(1, 97, (3, 8))
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, :3] = False
    stop = generate(model, ids, GenerationConfig(max_new_tokens=5)).new_ids[0, 2].item()
    settings = dict(
        max_new_tokens=24,
        repetition_penalty=1.4,
        no_repeat_ngram_size=3,
        bad_words_ids=[[5], [7, 8]],
        min_new_tokens=6,
        eos_token_id=stop,
        pad_token_id=0,
    )
    expected = reference.generate(ids, attention_mask=mask.long(), do_sample=False, **settings)
    ours = generate(model, ids, GenerationConfig(**settings), attention_mask=mask)
    assert torch.equal(ours.ids, expected)


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize("tau", [3.5, 5.0])  # the likeliest token alone has 2.5 bits
def test_mirostat_comes_near_its_target(mode, tau):
    zipf = -1.1 * torch.arange(1, 2001).float().log().expand(16, -1)
    config = GenerationConfig(
        do_sample=True, mirostat_mode=mode, mirostat_tau=tau, mirostat_eta=0.2
    )
    generator, history = torch.Generator().manual_seed(0), History(torch.zeros(16, 1).long(), 1)
    draws = torch.stack([next_token(zipf, config, generator, history) for _ in range(80)])
    surprise = -zipf[0].log_softmax(0)[draws[30:]] / torch.log(torch.tensor(2.0))
    assert surprise.mean().item() == pytest.approx(tau, abs=0.3)


def test_mirostat_in_generate(pair):
    model, _ = pair
    config = GenerationConfig(max_new_tokens=8, do_sample=True, mirostat_mode=2, seed=0)
    ids = torch.randint(97, (2, 4))
    assert torch.equal(generate(model, ids, config).ids, generate(model, ids, config).ids)


def test_bad_prompts_are_named(pair):
    model, _ = pair
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, torch.empty(1, 0, dtype=torch.long), GenerationConfig(max_new_tokens=1))
    with pytest.raises(ValueError, match=r"ids must be in 0 \.\. 96, got 5 \.\. 97"):
        generate(model, torch.tensor([[5, 97]]), GenerationConfig(max_new_tokens=1))
    with pytest.raises(ValueError, match="take 74 positions, the context has 64"):
        generate(model, torch.ones(1, 10, dtype=torch.long), GenerationConfig(max_new_tokens=64))
