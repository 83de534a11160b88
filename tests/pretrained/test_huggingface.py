import json
import shutil

import pytest
import torch
from references import save_small_model, small_model
from safetensors.torch import load_file, save_file

from lib.model import KVCache
from lib.model.balancing import load_balancing_loss, pool
from lib.model.experts import recorded_routing
from lib.pretrained import load_folder, load_pretrained
from lib.pretrained.huggingface import read_config

KINDS = ["gpt2", "llama", "llama-tied", "llama-scaled", "llama-yarn", "llama-linear", "llama-bias"]
KINDS += ["mistral", "qwen3", "qwen3-windows", "gemma3", "gemma3-full", "olmo2"]
KINDS += ["mixtral", "qwen3-moe"]

ODD_ROPE = {
    "full_attention": {"rope_theta": 5.0},
    "sliding_attention": {"rope_theta": 1.0, "factor": 2},
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    reference = save_small_model(request.param, folder)
    model, tokenizer = load_folder(folder)
    assert tokenizer is None
    return reference, model


@pytest.mark.parity(
    "logits of small GPT-2, Llama, Mistral, Qwen3, Gemma 3, OLMo 2, Mixtral, Qwen3-MoE",
    "transformers",
    "1e-5",
)
def test_logits_equal_transformers(pair):
    reference, model = pair
    ids = torch.randint(97, (2, 40))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("their logits, token by token with a KV cache", "transformers", "1e-5")
@pytest.mark.parametrize("chunks", [[1] * 20, [7, 1, 1, 5, 6], [19, 1]])
def test_cached_logits_equal_transformers(pair, chunks):
    reference, model = pair
    ids = torch.randint(97, (2, 20))
    cache = KVCache(model.config, batch_size=2, capacity=20)
    with torch.inference_mode():
        pieces = [model(piece, cache=cache) for piece in ids.split(chunks, dim=1)]
        expected = reference(ids).logits
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("their logits, padded on the left", "transformers", "1e-5")
@pytest.mark.parametrize("cached", [False, True])
def test_padded_logits_equal_transformers(pair, cached):
    reference, model = pair
    ids = torch.randint(97, (3, 12))
    mask = torch.ones(3, 12, dtype=torch.bool)
    mask[1, :5] = mask[2, :9] = False
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        expected = reference(ids, attention_mask=mask.long(), position_ids=positions).logits
        if cached:
            cache = KVCache(model.config, batch_size=3, capacity=12)
            first = model(ids[:, :10], mask[:, :10], cache)
            rest = [model(ids[:, t : t + 1], mask[:, : t + 1], cache) for t in (10, 11)]
            logits = torch.cat([first, *rest], dim=1)
        else:
            logits = model(ids, mask)
    torch.testing.assert_close(logits[mask], expected[mask], atol=1e-5, rtol=1e-5)


def test_sharded_folder_loads(tmp_path):
    reference = save_small_model("llama", tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model, _ = load_pretrained(str(tmp_path))
    ids = torch.randint(97, (1, 9))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


def test_old_spelling_of_rope_scaling_is_read():
    settings = small_model("llama-scaled").config.to_dict()
    new = read_config(settings)
    rope = settings.pop("rope_parameters")
    settings |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    assert read_config(settings) == new


def test_old_spelling_of_gemma3_is_read():
    settings = small_model("gemma3").config.to_dict()
    settings |= {"sliding_window_pattern": 2, "layer_types": None}
    settings["num_hidden_layers"] = 4
    new = read_config(settings | {"layer_types": ["sliding_attention", "full_attention"] * 2})
    for name in ("rope_parameters", "layer_types"):
        del settings[name]
    settings |= {"rope_theta": 5000.0, "rope_local_base_freq": 100.0, "rope_scaling": None}
    assert read_config(settings) == new


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_pre_attn_scalar": 20}, "query_pre_attn_scalar=20 is not supported"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping=30.0 is not supported"),
        ({"layer_types": ["spiral"] * 3}, r"layer_types=\['spiral'\] is not supported"),
        ({"rope_parameters": ODD_ROPE}, "factor"),
    ],
)
def test_unsupported_gemma3_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        read_config(small_model("gemma3").config.to_dict() | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "mamba"},
            "model_type must be one of gpt2, llama, mistral, qwen3, .*, got 'mamba'",
        ),
        ({"hidden_act": "tanh"}, "activation 'tanh' is not supported"),
        ({"wormholes": 3}, "settings that are not supported: wormholes=3"),
        ({"sliding_window": 128}, "sliding_window=128 is not supported"),
        ({"rope_parameters": {"rope_type": "spiral"}}, "rope_type='spiral' is not supported"),
        ({"rope_parameters": {"rope_type": "default", "spin": 1}}, r"settings \['spin'\]"),
        ({"num_key_value_heads": 4}, "n_kv_heads must divide n_heads"),
        ({"vocab_size": -1}, r"vocab_size must be an integer in \[1, 1e9\], got -1"),
    ],
)
def test_unsupported_config_is_named(tmp_path, change, message):
    save_small_model("llama", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | change))
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


def test_missing_setting_is_named(tmp_path):
    save_small_model("llama", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    del settings["hidden_size"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="llama model lacks 'hidden_size'"):
        load_folder(tmp_path)


def test_broken_weights_are_named(tmp_path):
    save_small_model("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)

    save_file(tensors | {"model.layers.0.mystery.weight": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"not supported: model.layers.0.mystery.weight"):
        load_folder(tmp_path)

    save_file({k: v for k, v in tensors.items() if "layers.1.mlp" not in k}, path)
    with pytest.raises(ValueError, match=r"lacks 3 tensors.*blocks.1.feedforward.down.weight"):
        load_folder(tmp_path)

    save_file(tensors | {"model.norm.weight": torch.ones(7)}, path)
    with pytest.raises(ValueError, match=r"final_norm.weight has shape \(7,\), expected \(48,\)"):
        load_folder(tmp_path)

    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or cut short"):
        load_folder(tmp_path)

    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no model.safetensors"):
        load_folder(tmp_path)


def test_index_cannot_point_outside_the_folder(tmp_path):
    save_small_model("llama", tmp_path / "inside", max_shard_size="40KB")
    index = tmp_path / "inside" / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    shard = next(iter(content["weight_map"].values()))
    shutil.copy(tmp_path / "inside" / shard, tmp_path / "outside.safetensors")
    content["weight_map"]["lm_head.weight"] = "../outside.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="names a file outside the folder"):
        load_folder(tmp_path / "inside")


def test_pickles_are_never_read(tmp_path):
    save_small_model("llama", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="weights are read from safetensors"):
        load_folder(tmp_path)


def test_config_that_is_not_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is not valid JSON"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no config.json"):
        load_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["gpt5", "./nowhere", "a/b/c", "nowhere.gguf", ""])
def test_unknown_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "":  # the empty path is the current folder, which holds no model
        with pytest.raises(FileNotFoundError, match=r"config.json"):
            load_pretrained(name)
    else:
        with pytest.raises(ValueError, match="unknown model"):
            load_pretrained(name)


@pytest.mark.parity("auxiliary loss of a small Mixtral and Qwen3-MoE model", "transformers", "1e-5")
@pytest.mark.parametrize("kind", ["mixtral", "qwen3-moe"])
def test_balancing_loss_of_a_model_equals_transformers(kind, tmp_path):
    reference = save_small_model(kind, tmp_path)
    model, _ = load_folder(tmp_path)
    ids = torch.randint(97, (2, 30))
    with torch.inference_mode(), recorded_routing(model) as routings:
        model(ids)
        expected = reference(ids, output_router_logits=True).aux_loss
    torch.testing.assert_close(load_balancing_loss(pool(routings)), expected, atol=1e-5, rtol=1e-5)


def test_sparse_steps_of_qwen3_moe_are_read():
    settings = small_model("qwen3-moe").config.to_dict()
    assert read_config(settings).dense_layers == (1,)
    settings |= {"decoder_sparse_step": 2, "mlp_only_layers": [], "num_experts": 5}
    config = read_config(settings)
    assert (config.dense_layers, config.n_experts, config.d_expert) == ((0, 2), 5, 20)
    assert not config.router.normalize
