import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.generation import GenerationConfig, generate, stream_text
from lib.generation.decode import next_token, split_complete
from lib.generation.logits import History


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
