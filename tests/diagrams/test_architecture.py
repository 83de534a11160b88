"""The numbers in a picture of a model are the model's."""

import re

import pytest
import torch
from references import small_model

from lib.diagrams import architecture
from lib.diagrams.parts import anatomy
from lib.model import LanguageModel, ModelConfig
from lib.pretrained.huggingface import read_config

SMALL = dict(vocab_size=97, context_length=32, d_model=48, n_layers=4, n_heads=6, d_ff=80)
CONFIGS = {
    "GPT-2's kind": ModelConfig.gpt2(**SMALL),
    "Llama's kind": ModelConfig(**SMALL, n_kv_heads=2),
    "windows, no positions": ModelConfig(
        **SMALL, window=(5, None, 5, None), nope_layers=(1, 3), qk_norm=True
    ),
    "experts": ModelConfig(
        **SMALL, n_experts=5, n_shared_experts=1, d_expert=24, dense_layers=(0,)
    ),
    "sandwich": ModelConfig(**SMALL, norm_placement="sandwich", window=7, learned_sinks=True),
    "post": ModelConfig(**SMALL, norm_placement="post", norm="layernorm", positions="sinusoidal"),
    "output": ModelConfig(**SMALL, norm_placement="output", qk_norm=True, qk_norm_all_heads=True),
    "parallel": ModelConfig(**SMALL, parallel_residual=True, positions="alibi"),
}


def module_of(name: str) -> str:
    """Which box a parameter of a layer belongs to."""
    if name in ("attention", "experts", "feedforward"):
        return "feedforward" if name == "experts" else name
    return name.removeprefix("block.")


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_box_holds_the_parameters_of_its_module(config):
    model = LanguageModel(config)
    picture = architecture(config)
    drawn = dict(re.findall(r"([\w.]+): ([\d,]+) parameters", " ".join(picture.tips())))
    total = 0
    for name, count in drawn.items():
        count = int(count.replace(",", ""))
        assert f"{count:,}" in picture.texts()
        if name in ("embedding", "position", "final_norm", "head"):
            weights = list(model.get_submodule(name).parameters())
            if name == "head" and config.tie_embeddings:
                weights = []
            assert count == sum(weight.numel() for weight in weights), name
            total += count
            continue
        modules = [getattr(block, module_of(name)) for block in model.blocks]
        if name in ("experts", "feedforward"):
            modules = [m for m in modules if hasattr(m, "router") == (name == "experts")]
        sizes = {sum(weight.numel() for weight in module.parameters()) for module in modules}
        assert sizes == {count}, name
        total += count * len(modules)
    assert total == model.count_parameters() == anatomy(config).total
    assert f"{total:,}" in picture.texts()
    assert f"{model.count_parameters(embeddings=False):,}" in picture.texts()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_widths_on_the_arrows_are_those_of_a_pass(config):
    model = LanguageModel(config).eval()
    stream = model.residual_stream(torch.zeros(1, 3, dtype=torch.long))
    texts = architecture(config).texts()
    assert texts.count(f"{stream.shape[-1]}") >= 6
    assert f"{model(torch.zeros(1, 3, dtype=torch.long)).shape[-1]}" in texts
    steps = model.attention_steps(torch.zeros(1, 3, dtype=torch.long), 0)
    heads, width, key_heads = steps.query.shape[1], steps.query.shape[-1], steps.key.shape[1]
    line = next(text for text in texts if re.match(r"\d+ heads? of", text))
    assert line.startswith(f"{heads} heads of {width}")
    assert ("key head" in line) == (key_heads < heads)


def test_what_differs_by_layer_is_drawn_by_layer():
    config = CONFIGS["windows, no positions"]
    picture = architecture(config)
    words = [tip for tip in picture.tips() if tip.startswith("layer 1")]
    assert words
    assert all("sees all, no positions" in tip for tip in words)
    assert "window of 5 in 2 of 4 layers" in picture.texts()
    assert "no positions in 2 of 4 layers" in picture.texts()


def test_experts_say_what_a_token_uses():
    config = CONFIGS["experts"]
    layer = LanguageModel(config).blocks[1].feedforward
    one = sum(weight.numel() for weight in layer.experts[0].parameters())
    shared = sum(weight.numel() for weight in layer.shared.parameters())
    used = layer.router.weight.numel() + 2 * one + shared
    assert f"a token uses {used:,}" in architecture(config).texts()


def test_side_by_side_marks_what_the_other_lacks():
    a, b = ModelConfig(**SMALL), ModelConfig(**SMALL, n_kv_heads=2)
    bold = {shape.text for shape in architecture(a, b).shapes if getattr(shape, "bold", False)}
    assert "6 heads of 8, 2 key heads" in bold
    assert "80 wide, SwiGLU" not in bold
    same = architecture(a, a).shapes
    assert not [s for s in same if getattr(s, "bold", False) and getattr(s, "size", 0) == 12]


@pytest.mark.parametrize("kind", ["gemma3", "smollm3", "gpt-neox", "qwen3-moe", "gpt-neo"])
def test_models_of_transformers_are_drawn_with_their_counts(kind):
    reference = small_model(kind)
    picture = architecture(read_config(reference.config.to_dict()), names=[kind])
    assert f"{reference.num_parameters():,}" in picture.texts()


def test_the_output_has_three_forms_and_alt_text():
    data, metadata = architecture(CONFIGS["experts"])._repr_mimebundle_()
    assert set(data) == {"image/svg+xml", "image/png", "text/plain"}
    assert "4 layers" in data["text/plain"]
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert "aria-label" in data["image/svg+xml"]


def test_names_must_fit():
    with pytest.raises(ValueError, match="names must hold 1 names, got 2"):
        architecture(CONFIGS["experts"], names=["a", "b"])
