"""Each picture holds the numbers of what it is drawn from."""

import itertools
import math
import re

import numpy as np
import pytest
import torch

from lib.diagrams.attention import four_steps, grouped_queries, split_heads
from lib.diagrams.automata import automaton_mask, byte_class
from lib.diagrams.blocks import feedforward, norm_placements, router_choices, sublayer_order
from lib.diagrams.cache import cache_filling, ring_cache, slots_after
from lib.diagrams.costs import batch_windows, roofline, training_memory
from lib.diagrams.diagram import Diagram
from lib.diagrams.reasoning import r1_pipeline, record_lifecycle
from lib.diagrams.search import beam_tree, draft_rounds, filter_chain
from lib.diagrams.words import merge_tree, unigram_lattice
from lib.generation.beam import beam_steps
from lib.generation.config import GenerationConfig
from lib.generation.drafts import LookupDraft
from lib.generation.grammar import Grammar
from lib.generation.measures import follow
from lib.generation.speculative import speculative_rounds
from lib.model import LanguageModel, ModelConfig
from lib.model.routing import Router, RouterConfig
from lib.model.toy import color_toy
from lib.reasoning import lifecycle
from lib.scaling.devices import DEVICES
from lib.scaling.roofline import decode_step
from lib.tokenization import BPETokenizer
from lib.training.batches import Batches

SMALL = dict(vocab_size=300, context_length=64, d_model=24, n_layers=2, n_heads=4, d_ff=40)
TEXT = "the slow fox saw the lowest of the slowest foxes and the lowest fox saw it slow " * 6


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(TEXT, vocab_size=300)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(ModelConfig(**SMALL)).eval()


def test_four_steps_are_those_of_numpy():
    toy = color_toy()
    query, key, value = (t[0, 0].numpy() for t in toy.project())
    scores = query @ key.T / 2
    scores[np.triu_indices(4, 1)] = -math.inf
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    texts = four_steps().texts()
    for row in weights:
        for weight in row:
            assert f"{weight:.2f}".replace("0.", ".") in texts
    assert texts.count("−∞") == 6
    assert f"{(weights @ value)[1, 0]:.3g}"[1:] in texts


def test_addresses_after_a_split_are_those_of_the_strides():
    n_tokens, n_heads, d_head = 2, 3, 4
    picture = split_heads(n_tokens, n_heads, d_head)
    numbers = [int(t) for t in picture.texts() if t.isdigit()]
    cells = n_tokens * n_heads * d_head
    places = itertools.product(range(n_heads), range(n_tokens), range(d_head))
    expected = [h * d_head + t * n_heads * d_head + d for h, t, d in places]
    assert numbers[cells : 2 * cells] == expected
    assert any("strides (4, 12, 1): the same memory" in text for text in picture.texts())
    assert any("copied" in text for text in picture.texts())


def test_groups_of_queries_and_bytes():
    picture = grouped_queries(ModelConfig.smollm2_135m())
    for n_kv in (9, 3, 1):
        assert f"{2 * 2 * 30 * n_kv * 64:,} bytes a token in the cache" in picture.texts()
    tips = picture.tips()
    assert "query head 5 reads key head 1" in tips
    assert tips.count("query head 8 reads key head 0") == 1  # multi-query alone


@pytest.mark.parametrize(("window", "sinks"), [(4, 0), (3, 2), (5, 1)])
def test_a_ring_holds_what_the_window_sees(window, sinks):
    config = ModelConfig(**SMALL, window=window, window_sinks=sinks)
    for row, length in zip(slots_after(config, 3, 9, 30), range(3, 13), strict=True):
        held = {position for position in row if position is not None}
        seen = set(range(max(0, length - window), length)) | set(range(min(sinks, length)))
        assert held == seen
    newest = [shape.text for shape in ring_cache(window, sinks).shapes if hasattr(shape, "text")]
    assert f"A window keeps the last {window}" in newest[0]


def test_a_cache_without_window_only_grows():
    texts = cache_filling(prompt=3, steps=2, capacity=6).texts()
    cells = [text for text in texts if text.isdigit()]
    assert cells == [str(i) for n in (3, 4, 5) for i in range(n)]


def test_norms_stand_where_the_block_runs_them():
    names = {
        "pre": ["attention_norm", "attention"],
        "output": ["attention", "attention_output_norm"],
    }
    for placement, expected in names.items():
        order = sublayer_order(placement)
        assert [name for name, _ in order] == expected
        assert not any(on_stream for _, on_stream in order)
    assert sublayer_order("post") == [("attention", False), ("attention_output_norm", True)]
    assert len(sublayer_order("sandwich")) == 3
    assert norm_placements().texts().count("norm") == 5


@pytest.mark.parametrize("gated", [True, False])
def test_feedforward_counts(gated):
    config = ModelConfig(**SMALL, gated=gated, feedforward_bias=True)
    count = sum(w.numel() for w in LanguageModel(config).blocks[0].feedforward.parameters())
    texts = feedforward(config).texts()
    assert f"{count:,} parameters" in texts
    assert ("gate" in texts) == gated


def test_router_lines_are_its_choices():
    torch.manual_seed(3)
    router = Router(8, 4, 2, RouterConfig(capacity_factor=1.0))
    routing = router(torch.randn(6, 8))
    picture = router_choices(routing, "abcdef")
    loads = routing.experts[routing.kept].bincount(minlength=4).tolist()
    for expert, load in enumerate(loads):
        assert f"{expert}: {load} token{'s' * (load != 1)}" in picture.texts()
    first = zip(routing.experts[0].tolist(), routing.weights[0].tolist(), strict=True)
    assert ", ".join(f"{e}: {w:.2f}" for e, w in first) in picture.texts()
    dashed = [shape for shape in picture.shapes if getattr(shape, "dashed", False)]
    assert len(dashed) == int((~routing.kept).sum())
    with pytest.raises(ValueError, match="tokens must hold 6 texts, got 2"):
        router_choices(routing, "ab")


def test_the_merge_tree_ends_at_the_tokens(tokenizer):
    picture = merge_tree(tokenizer, " slowest")
    tokens = [tokenizer.decode([i]) for i in tokenizer.encode(" slowest")]
    shown = " | ".join(token.replace(" ", "␣") for token in tokens)
    assert picture.texts()[-1].endswith(shown)
    ranks = [int(n) for t in picture.texts() for n in re.findall(r"^\d+\. rank (\d+)$", t)]
    assert len(ranks) == len(" slowest") - len(tokens)
    with pytest.raises(ValueError, match="one word"):
        merge_tree(tokenizer, "two words")


def test_the_lattice_marks_the_best_of_all_ways():
    scores = {"a": -2.0, "b": -2.5, "ab": -3.0, "ba": -2.2, "aba": -7.0, "c": -1.0}
    word = "abac"

    def ways(rest: str) -> list[tuple[str, ...]]:
        if not rest:
            return [()]
        cuts = [n for n in range(1, len(rest) + 1) if rest[:n] in scores]
        return [(rest[:n], *way) for n in cuts for way in ways(rest[n:])]

    best = max(ways(word), key=lambda way: sum(scores[piece] for piece in way))
    picture = unigram_lattice(word, scores)
    total = sum(scores[piece] for piece in best)
    assert picture.texts()[-1] == f"best: {' + '.join(best)}, ln p = {total:.2f}"
    filled = [s.text.split()[0] for s in picture.shapes if getattr(s, "color", "") == "#FFFFFF"]
    assert sorted(filled) == sorted(best)
    with pytest.raises(ValueError, match="cannot make 'xyz'"):
        unigram_lattice("xyz", scores)


def test_beam_tree_shows_each_candidate(model, tokenizer):
    config = GenerationConfig(num_beams=2, max_new_tokens=3, eos_token_id=7)
    steps = list(beam_steps(model, torch.tensor([[1, 2, 3]]), config))
    texts = beam_tree(steps, "start", lambda i: f"<{i}>").texts()
    for step in steps:
        for candidate in step.candidates[0]:
            assert f"<{candidate.token}>" in texts
            assert f"{candidate.log_p:.2f}" in texts


def test_a_chain_says_what_is_left():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0, -9.0]])
    config = GenerationConfig(do_sample=True, temperature=0.5, top_k=3, eos_token_id=0)
    texts = filter_chain(follow(logits, config)).texts()
    kept = (logits[0, :3] / 0.5).softmax(-1)
    entropy = -(kept * kept.log()).sum()
    assert f"3, {entropy:.2f} nats" in texts
    assert texts.index("temperature") < texts.index("top_k")


def test_rounds_add_up(model):
    ids = torch.tensor([[1, 2, 3, 1, 2, 3, 1, 2]])
    config = GenerationConfig(max_new_tokens=10)
    rounds = list(speculative_rounds(model, LookupDraft(300), ids, config))
    texts = draft_rounds(rounds, lambda i: f"<{i}>", shown=20).texts()
    assert texts[-1].startswith(f"10 tokens in {len(rounds)} passes")
    named = [int(t[1:-1]) for t in texts if re.fullmatch(r"<\d+>", t)]
    assert named == [t for one in rounds for t in one.tokens]


def test_the_mask_is_the_regular_expression(tokenizer):
    pattern = "(the|slow)+"
    grammar = Grammar.regex(pattern, tokenizer)
    candidates = [i for i in range(tokenizer.vocab_size) if 0 < len(tokenizer.decode([i])) < 4][:40]
    texts = [tokenizer.decode([i]) for i in candidates]
    picture = automaton_mask(grammar, texts, candidates)
    prefixes = {w[:n] for w in ("theslow", "slowthe", "thethe") for n in range(1, 8)}
    allowed = {text for text in texts if text in prefixes}
    crossed = [s for s in picture.shapes if getattr(s, "color", "") == "#777777"]
    assert len(crossed) == len(texts) - len(allowed)
    assert byte_class([48, 49, 50, 97]) == "[0-2a]"
    outside = next(i for i, text in zip(candidates, texts, strict=True) if text not in allowed)
    with pytest.raises(ValueError, match="not the beginning"):
        automaton_mask(grammar, texts, candidates, (outside,))


def test_windows_of_a_batch(tokenizer):
    ids = torch.tensor(tokenizer.encode(TEXT))
    batches = Batches(ids, 5, 3)
    picture = batch_windows(batches, lambda i: f"{i}", step=1)
    rows = batches.step(1).tolist()
    cells = [int(t) for t in picture.texts() if t.isdigit()]
    for row in rows:
        inputs_and_targets = row[:-1] + row[1:]
        at = "".join(f"{i}," for i in cells).find("".join(f"{i}," for i in inputs_and_targets))
        assert at >= 0
    for tip in picture.tips():
        start, stop = map(int, re.findall(r"tokens (\d+) to (\d+)", tip)[0])
        assert ids[start : stop + 1].tolist() in rows


def test_memory_is_sixteen_bytes_a_parameter_and_activations():
    config = ModelConfig.gpt2()
    sizes = [
        int(n) for tip in training_memory(config, 64, 2).tips() for n in re.findall(r"(\d+) b", tip)
    ]
    assert sum(sizes[:3]) == sum(sizes[4:7]) == 16 * 124_439_808
    assert sizes[7] < sizes[3]


def test_the_roofline_is_the_lower_of_two_roofs():
    device, config = DEVICES["H100"], ModelConfig.llama3_8b()
    steps = {str(batch): decode_step(config, device, batch, 100) for batch in (1, 64, 4096)}
    picture = roofline(device, steps)
    for batch, step in steps.items():
        reached = step.flops / step.seconds
        expected = min(device.flops, step.intensity * device.bandwidth)
        assert reached == pytest.approx(expected)
        assert f"{batch}: {step.intensity:.3g} FLOPs a byte" in picture.tips()
    assert f"ridge: {989 / 3.35:.0f}" in picture.texts()


def test_the_pipeline_is_what_lifecycle_runs(monkeypatch):
    made = {thing.name: thing for thing in record_lifecycle()}
    assert made["zero"].inputs == made["cold"].inputs == ("base",)
    assert made["cold_rl"].inputs == ("cold",)
    assert made["final"].inputs == ("base", "kept_examples")
    assert f"SFT on {lifecycle.COLD_EXAMPLES} examples," in r1_pipeline().texts()
    assert f"RL, {lifecycle.RL_STEPS} steps" in r1_pipeline().texts()

    def shorter(base, seed=0, on_step=None):
        zero, _ = lifecycle.reinforce(base, steps=5)
        return {"base": base, "zero": zero}, None

    monkeypatch.setattr(lifecycle, "lifecycle", shorter)
    assert [thing.name for thing in record_lifecycle()] == ["base", "zero"]
    with pytest.raises(ValueError, match="the life-cycle has stages"):
        r1_pipeline()


def test_a_diagram_needs_alt_text():
    with pytest.raises(ValueError, match="needs alt text"):
        Diagram(10, 10, [], alt=" ")
