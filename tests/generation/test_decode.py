import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from references import small_model
from scipy.stats import chisquare
from transformers.generation import logits_process

from lib.generation import GenerationConfig, generate, stream_text
from lib.generation.decode import next_token, split_complete
from lib.generation.logits import temperature, top_k, top_p
from lib.pretrained import load_folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A small random Llama, ours and transformers'."""
    folder = tmp_path_factory.mktemp("llama")
    reference = small_model("llama")
    reference.save_pretrained(folder)
    return load_folder(folder)[0], reference


logits_rows = st.lists(st.floats(-30, 30, width=32), min_size=12, max_size=12)


@pytest.mark.parity("temperature, top_k, top_p", "transformers' logits processors", "identical")
@given(
    rows=st.lists(logits_rows, min_size=1, max_size=3), k=st.integers(1, 15), p=st.floats(0.01, 1)
)
def test_filters_equal_transformers(rows, k, p):
    logits = torch.tensor(rows)
    ids = torch.zeros(len(rows), 1, dtype=torch.long)
    ours, theirs = temperature(logits, 0.7), logits_process.TemperatureLogitsWarper(0.7)
    torch.testing.assert_close(ours, theirs(ids, logits.clone()))
    torch.testing.assert_close(
        top_k(logits, k), logits_process.TopKLogitsWarper(k)(ids, logits.clone())
    )
    if p < 1:
        expected = logits_process.TopPLogitsWarper(p)(ids, logits.clone())
        torch.testing.assert_close(top_p(logits, p), expected)


@given(row=logits_rows, k=st.integers(1, 15), p=st.floats(0.01, 1))
def test_filters_keep_the_most_probable_token(row, k, p):
    logits = torch.tensor([row])
    for kept in (top_k(logits, k), top_p(logits, p)):
        assert kept.max() == logits.max()
        assert kept.softmax(-1).sum().item() == pytest.approx(1)


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


def test_rows_that_stop_are_filled(pair):
    model, reference = pair
    ids = torch.randint(1, 97, (4, 6))
    greedy = generate(model, ids, GenerationConfig(max_new_tokens=24)).new_ids
    stop = (greedy[0, 3].item(), greedy[1, 9].item())
    expected = reference.generate(
        ids, max_new_tokens=24, do_sample=False, eos_token_id=list(stop), pad_token_id=0
    )
    config = GenerationConfig(max_new_tokens=24, eos_token_id=stop, pad_token_id=0)
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


@given(text=st.text(max_size=20), size=st.integers(1, 3))
def test_characters_are_never_split(text, size):
    data, waiting, pieces = text.encode("utf-8", "replace"), b"", []
    for start in range(0, len(data), size):
        piece, waiting = split_complete(waiting + data[start : start + size])
        pieces.append(piece)
    assert waiting == b""
    assert "".join(pieces) == data.decode()


def test_bytes_that_are_no_text_do_not_block_the_stream():
    assert split_complete(b"ok\xff!") == ("ok\ufffd!", b"")
    assert split_complete(b"ok\xf0\x9f") == ("ok", b"\xf0\x9f")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": 0.0}, r"temperature must be above 0, got 0\.0"),
        ({"temperature": float("nan")}, "temperature must be above 0, got nan"),
        ({"top_k": -1}, r"top_k must be 0 \(off\) or above, got -1"),
        ({"top_p": 1.7}, r"top_p must be in \(0, 1\], got 1\.7"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0\.0"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)


def test_bad_prompts_are_named(pair):
    model, _ = pair
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, torch.empty(1, 0, dtype=torch.long), GenerationConfig(max_new_tokens=1))
    with pytest.raises(ValueError, match=r"ids must be in 0 \.\. 96, got 5 \.\. 97"):
        generate(model, torch.tensor([[5, 97]]), GenerationConfig(max_new_tokens=1))
    with pytest.raises(ValueError, match="take 74 positions, the context has 64"):
        generate(model, torch.ones(1, 10, dtype=torch.long), GenerationConfig(max_new_tokens=64))
