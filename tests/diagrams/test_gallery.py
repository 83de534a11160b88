"""The gallery's counts: against transformers for the same settings, and as published."""

import json

import pytest
import torch
import transformers

from lib.diagrams.__main__ import main
from lib.diagrams.facts import facts
from lib.diagrams.gallery import COLUMNS, GALLERY, side_by_side, table

AT_LEAST = """GPT-2, Llama 3 8B, Llama 3.2 1B, Mistral 7B, Mixtral 8x7B, Qwen3 0.6B, Qwen3 8B,
Qwen3 30B-A3B, Gemma 3 1B, Gemma 3 4B, OLMo 2 7B, SmolLM2 135M, SmolLM3 3B, DeepSeek-V3,
gpt-oss-20b""".replace("\n", " ")


@pytest.mark.parity("parameters of the 15 models of the gallery", "transformers", "identical")
@pytest.mark.parametrize("name", GALLERY)
def test_counts_are_those_of_transformers_and_as_published(name):
    entry = GALLERY[name]
    settings = dict(entry.settings)
    config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    with torch.device("meta"):
        theirs = transformers.AutoModelForCausalLM.from_config(config)
    numbers = facts(entry.config())
    assert numbers.parameters == sum(weight.numel() for weight in theirs.parameters())
    digits = (
        len(f"{entry.billions}".partition(".")[2]) if entry.billions != int(entry.billions) else 0
    )
    assert round(numbers.parameters / 1e9, digits) == entry.billions
    assert entry.source.startswith("https://")
    if entry.active is not None:
        table = entry.settings["vocab_size"] * entry.settings["hidden_size"]
        active = numbers.active - table * entry.active_without_table
        assert active / 1e9 == pytest.approx(entry.active, abs=0.4 if entry.active > 30 else 0.06)
    assert numbers.vocabulary == theirs.get_input_embeddings().weight.shape[0]


def test_all_that_were_asked_for_are_there():
    assert set(AT_LEAST.split(", ")) <= set(GALLERY)


def test_the_cache_of_a_token_is_as_published():
    """Bytes in bfloat16: DeepSeek-V3's 576 numbers in 61 layers, Llama's 128 KiB."""
    assert facts(GALLERY["DeepSeek-V3"].config()).cache == 2 * 576 * 61
    assert facts(GALLERY["Llama 3 8B"].config()).cache == 128 * 1024
    assert facts(GALLERY["GPT-2"].config()).cache == 36 * 1024


@pytest.mark.parametrize("name", ["DeepSeek-V3", "gpt-oss-20b", "Gemma 3 4B", "SmolLM3 3B"])
def test_pictures_say_what_is_special(name):
    special = {
        "DeepSeek-V3": ["latent of 512 and rotary key of 64", "1 shared by all tokens"],
        "gpt-oss-20b": ["a learned sink a head", "window of 128 in 12 of 24 layers"],
        "Gemma 3 4B": ["window of 1,024 in 29 of 34 layers", "QK-norm"],
        "SmolLM3 3B": ["no positions in 9 of 36 layers"],
    }
    texts = GALLERY[name].picture().texts()
    assert set(special[name]) <= set(texts)
    assert f"{facts(GALLERY[name].config()).parameters:,}" in texts


def test_two_side_by_side():
    texts = side_by_side("Qwen3 0.6B", "GPT-2").texts()
    assert {"596,049,920", "124,439,808"} <= set(texts)
    with pytest.raises(ValueError, match=r"the gallery has .*; not 'GPT-5'"):
        side_by_side("GPT-2", "GPT-5")


def test_the_table_is_sorted_by_any_column():
    for column in COLUMNS:
        values = [row[column] for row in table(column, descending=True)]
        assert values == sorted(values, reverse=True)
    with pytest.raises(ValueError, match="sort_by must be one of model, year"):
        table("price")


def test_command_draws_a_config_file(tmp_path, capsys):
    file, out = tmp_path / "config.json", tmp_path / "model.svg"
    settings = GALLERY["DeepSeek-V3"].settings
    file.write_text(json.dumps(settings | {"auto_map": {}, "quantization_config": {"bits": 8}}))
    assert main([str(file), "GPT-2", "--out", str(out)]) == 0
    assert "671,026,404,352" in out.read_text()
    assert "124,439,808" in capsys.readouterr().out
    file.write_text("{")
    assert main([str(file)]) == 2
    assert main(["nowhere.json"]) == 2
    assert main(["GPT-2", "--out", "model.pdf"]) == 2
    assert "neither a file nor one of GPT-2" in capsys.readouterr().err
