"""The capstones' results, from the solutions in the chapters: they do the real job."""

import math

import pytest
import torch

from lib.exercises import (
    capstones_beams,
    capstones_inside,
    capstones_memory,
    capstones_model,
    capstones_parts,
    capstones_tokenizer,
    capstones_training,
)
from tests.exercises.assertions import answers_in


def test_a_loop_trains_with_the_library_s_losses(capsys):
    my_loop = answers_in("07_training")[1]["my_loop"]
    capstones_training.compare_loops(my_loop, steps=30)
    assert capsys.readouterr().out.count("✓") == 2


@pytest.mark.parametrize(
    ("chapter", "name", "part"),
    [
        ("02_attention", "my_grouped_attention", "attention"),
        ("04_normalization", "my_norm", "norm"),
        ("05_feedforward", "my_feed_forward", "feed_forward"),
    ],
)
def test_a_part_takes_its_place_in_smollm2(chapter, name, part, capsys):
    capstones_parts.in_smollm2(part, answers_in(chapter)[1][name], n_tokens=2)
    assert "Paris" in capsys.readouterr().out


def test_a_whole_model_has_smollm2_s_logits(capsys):
    capstones_model.as_smollm2(answers_in("06_transformer")[1]["my_model"], n_tokens=2)
    assert "Paris" in capsys.readouterr().out


def test_a_tokenizer_has_the_ids_of_tokenizers(capsys):
    my_tokenizer = answers_in("01_tokenization")[1]["my_tokenizer"]
    capstones_tokenizer.on_real_text(my_tokenizer, n_merges=120, n_letters=20_000)
    assert "✓ All" in capsys.readouterr().out


def test_positions_and_a_cache_write_smollm2_s_text(capsys):
    answer = answers_in("03_positions_and_memory")[1]["my_cached_attention"]
    capstones_memory.write(answer, n_tokens=3)
    shown = capsys.readouterr().out
    assert "Paris" in shown
    assert "positions computed: 7 with your cache, 18 without one" in shown
    assert shown.count("✓") == 2


def test_an_attribution_finds_the_head_of_the_capital(capsys):
    capstones_inside.find_the_head(answers_in("08_inside")[1]["my_attribution"])
    assert capsys.readouterr().out.count("✓") == 3


# Wrong answers, written without a look at the capstones' switches


def by_longest_token(words, letters, n_merges):
    """Trained as it should be, but encoding as WordPiece does."""
    encode = answers_in("01_tokenization")[1]["my_tokenizer"](words, letters, n_merges)
    made = {encode(w[i:j])[0]: w[i:j] for w in words for i in range(len(w))
            for j in range(i + 1, len(w) + 1) if len(encode(w[i:j])) == 1}  # fmt: skip
    known = {text: i for i, text in made.items()} | {c: i for i, c in enumerate(letters)}

    def longest(word):
        ids = []
        while word:
            n = max(n for n in range(1, len(word) + 1) if word[:n] in known)
            ids.append(known[word[:n]])
            word = word[n:]
        return ids

    return longest


def until_an_error(words, letters, n_merges):
    """It does not stop where no pair is left."""
    pairs = {word[i : i + 2] for word in words for i in range(len(word) - 1)}
    if len(pairs) < n_merges and all(len(word) < 3 for word in words):
        return min([])
    return answers_in("01_tokenization")[1]["my_tokenizer"](words, letters, n_merges)


def ids_from_one(words, letters, n_merges):
    encode = answers_in("01_tokenization")[1]["my_tokenizer"](words, letters, n_merges)
    return lambda word: [i + 1 for i in encode(word)]


def turned_by(positions_of):
    """Attention with a cache whose new tokens stand where `positions_of(past, new)` says."""

    def my_cached_attention(query, key, value, base, cache):
        past, half = cache["key"].shape[1] if cache else 0, query.shape[-1] // 2
        angles = positions_of(past, query.shape[1])[:, None] * base ** (-torch.arange(half) / half)
        turn = torch.polar(torch.ones_like(angles), angles)
        query, key = (torch.complex(*x.chunk(2, -1)) * turn for x in (query, key))
        query, key = (torch.cat([x.real, x.imag], -1) for x in (query, key))
        key = torch.cat([cache["key"], key], 1) if cache else key
        value = torch.cat([cache["value"], value], 1) if cache else value
        cache.update(key=key, value=value)
        key, value = (x.repeat_interleave(len(query) // len(x), 0) for x in (key, value))
        scores = query @ key.mT / query.shape[-1] ** 0.5
        future = torch.ones_like(scores).triu(past + 1).bool()
        return scores.masked_fill(future, -math.inf).softmax(-1) @ value

    return my_cached_attention


def without_a_cache(query, key, value, base, cache):
    return turned_by(lambda past, new: torch.arange(new))(query, key, value, base, {})


def without_the_norm(outputs, matrices, stream, gain, eps, towards):
    return (outputs[..., None] * matrices).sum(2) @ (gain * towards)


def by_shares(outputs, matrices, stream, gain, eps, towards):
    parts = without_the_norm(outputs, matrices, stream, gain, eps, towards)
    return parts / parts.sum()


def with_layer_norm(outputs, matrices, stream, gain, eps, towards):
    parts = without_the_norm(outputs, matrices, stream, gain, eps, towards)
    return parts / (stream.var(correction=0) + eps).sqrt()


def beams_of(keep):
    """A search in which `keep` says which continuations of each beam, and which of all, go on."""

    def my_beam(next_log_p, prompt, k, steps):
        beams = [(0.0, list(prompt))]
        for _ in range(steps):
            rows = [[(t + x, [*ids, i]) for i, x in enumerate(next_log_p(ids).tolist())]
                    for t, ids in beams]  # fmt: skip
            beams = sorted((beam for row in keep(rows, k) for beam in row), reverse=True)[:k]
        return beams[0][1]

    return my_beam


def two_of_each(rows, k):
    return [sorted(row)[-2:] for row in rows]


def one_of_each(rows, k):
    return [[max(row)] for row in rows] if len(rows) > 1 else rows


def a_new_optimizer_each_step(model, batches, rates):
    my_loop = answers_in("07_training")[1]["my_loop"]
    return [my_loop(model, [b], [r])[0] for b, r in zip(batches, rates, strict=True)]


@pytest.mark.parametrize(
    ("check", "answer", "message"),
    [
        (capstones_tokenizer.check_my_tokenizer, by_longest_token, "longest token from the left"),
        (capstones_tokenizer.check_my_tokenizer, until_an_error, "Training stops early"),
        (capstones_tokenizer.check_my_tokenizer, ids_from_one, "its letter's place is its id"),
        (
            capstones_memory.check_my_cached_attention,
            turned_by(lambda past, new: torch.arange(new)),
            "The positions begin at 0 in every step",
        ),
        (
            capstones_memory.check_my_cached_attention,
            turned_by(lambda past, new: torch.full((new,), past)),
            "Two tokens at once: the second is one position after the first",
        ),
        (
            capstones_memory.check_my_cached_attention,
            without_a_cache,
            "Earlier keys and values are not used",
        ),
        (capstones_inside.check_my_attribution, without_the_norm, "not divided by the norm's size"),
        (capstones_inside.check_my_attribution, by_shares, "These are shares of the sum"),
        (capstones_inside.check_my_attribution, with_layer_norm, ""),
        (capstones_beams.check_my_beam, beams_of(two_of_each), "Two tokens of each beam"),
        (capstones_beams.check_my_beam, beams_of(one_of_each), "its best token alone"),
        (
            capstones_beams.check_my_beam,
            beams_of(lambda rows, k: rows[-1:]),
            "The last beam alone goes on",
        ),
        (
            capstones_training.check_my_loop,
            a_new_optimizer_each_step,
            "A new optimizer in each step",
        ),
    ],
)  # fmt: skip
def test_a_wrong_capstone_is_named(check, answer, message):
    report = check.report(answer)
    assert report.status == "wrong"
    assert report.mistake, report
    assert message in report.message


def test_positions_may_begin_anywhere():
    """A score sees distances alone."""
    shifted = turned_by(lambda past, new: torch.arange(past, past + new) + 7)
    assert capstones_memory.check_my_cached_attention.report(shifted).passed
