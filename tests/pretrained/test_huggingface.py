import contextlib
import json
import shutil

import pytest
import torch
import transformers
from references import save_small_model, small_model
from safetensors.torch import load_file, save_file

from lib.model import KVCache
from lib.model.balancing import load_balancing_loss, pool
from lib.model.experts import recorded_routing
from lib.pretrained import load_folder, load_pretrained
from lib.pretrained.huggingface import read_config
from lib.tokenization import BPETokenizer

KINDS = ["gpt2", "llama", "llama-tied", "llama-scaled", "llama-yarn", "llama-linear", "llama-bias"]
KINDS += ["mistral", "qwen3", "qwen3-windows", "gemma3", "gemma3-full", "olmo2"]
KINDS += ["mixtral", "qwen3-moe", "qwen2", "qwen2-windows", "gpt-neox", "gpt-neox-serial"]
KINDS += ["gpt-neo", "smollm3", "deepseek-v3", "deepseek-v3-yarn", "gpt-oss"]

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
    "logits of small GPT-2, GPT-Neo, Pythia, Llama, Mistral, Qwen2, Qwen3, SmolLM3, Gemma 3, "
    "OLMo 2, Mixtral, Qwen3-MoE, DeepSeek-V3, gpt-oss",
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


def test_shards_without_their_index_are_called_so(tmp_path):
    save_small_model("llama", tmp_path, max_shard_size="40KB")
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"shards and no model\.safetensors\.index\.json"):
        load_folder(tmp_path)


def test_sharded_folder_loads(tmp_path):
    reference = save_small_model("llama", tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model, _ = load_pretrained(str(tmp_path))
    ids = torch.randint(97, (1, 9))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


def test_a_head_of_its_own_counts_where_embeddings_are_said_to_be_tied(tmp_path):
    """As in folders of fine-tuned models; transformers leaves them untied, too."""
    save_small_model("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    weights = load_file(tmp_path / "model.safetensors")
    head = weights["lm_head.weight"]
    assert not torch.equal(head, weights["model.embed_tokens.weight"])
    model, _ = load_folder(tmp_path)
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = torch.randint(97, (1, 9))
    with torch.inference_mode():
        expected = reference.eval()(ids).logits
        torch.testing.assert_close(model(ids), expected, atol=1e-5, rtol=1e-5)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors")
    assert load_folder(tmp_path)[0].config.tie_embeddings


def test_a_tensor_in_two_files_is_refused_if_they_differ(tmp_path):
    save_small_model("llama", tmp_path, max_shard_size="40KB")
    first, second, *_ = sorted(tmp_path.glob("*.safetensors"))
    name, tensor = next(iter(load_file(first).items()))
    save_file(load_file(second) | {name: tensor.clone()}, second)
    load_folder(tmp_path)
    save_file(load_file(second) | {name: tensor + 1}, second)
    with pytest.raises(ValueError, match=r"holds \S+ twice, with different values"):
        load_folder(tmp_path)


def test_weights_of_8_bits_are_named(tmp_path):
    save_small_model("llama", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(
        weights | {name: weights[name].to(torch.float8_e4m3fn)}, tmp_path / "model.safetensors"
    )
    with pytest.raises(ValueError, match=f"{name} holds torch.float8_e4m3fn, no weights"):
        load_folder(tmp_path)
    with pytest.raises(ValueError, match=r"dtype must be one like torch\.float32"):
        load_folder(tmp_path, torch.float8_e4m3fn)


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
        ({"query_pre_attn_scalar": -1}, "query_pre_attn_scalar must be above 0, got -1"),
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
            "model_type must be one of gpt2, .*, llama, mistral, .*, got 'mamba'",
        ),
        ({"hidden_act": "tanh"}, "activation 'tanh' is not supported"),
        ({"wormholes": 3}, "settings that are not supported: wormholes=3"),
        ({"sliding_window": 128}, "sliding_window=128 is not supported"),
        ({"rope_parameters": {"rope_type": "spiral"}}, "rope_type='spiral' is not supported"),
        ({"rope_parameters": {"rope_type": "default", "spin": 1}}, r"settings \['spin'\]"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type='dynamic' is not supp"),
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


HARMLESS = {
    "_num_labels": 2,
    "cache_implementation": "hybrid",
    "keys_to_ignore_at_inference": ["past_key_values"],
    "unsloth_fixed": True,
    "unsloth_version": "2025.1",
    "_attn_implementation_autoset": True,
    "transformers.js_config": {"dtype": "q4"},
    "torch_dtype": "bfloat16",
    "dtype": "bfloat16",
    "quantization_config": None,
    "max_window_layers": 28,
    "pruned_heads": {},
    "gradient_checkpointing": False,
    "classifier_dropout": 0.1,
    "max_sequence_length": 2048,
}


def test_harmless_settings_of_published_files_are_known_by_name():
    settings = small_model("llama").config.to_dict()
    assert read_config(settings | HARMLESS) == read_config(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantization_config": {"bits": 4}}, "'quantization_config': its weights are quantized"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "code of its own, which is never run"),
        ({"hidden_size": "48"}, "d_model must be an integer .* got '48'"),
        ({"num_hidden_layers": 10**9}, r"n_layers must be an integer in \[1, 10000\]"),
        ({"num_hidden_layers": 2.0}, r"n_layers must be an integer in \[1, 10000\], got 2.0"),
        ({"rms_norm_eps": float("nan")}, "norm_eps must be above 0, got nan"),
        ({"rms_norm_eps": True}, "norm_eps must be above 0, got True"),
        ({"rope_theta": "10000", "rope_parameters": None}, "rope_theta must be .* got '10000'"),
        ({"rope_parameters": [1]}, r"rope_parameters must be an object, got \[1\]"),
        ({"tie_word_embeddings": "false"}, "tie_embeddings must be one of True, False"),
        ({"hidden_act": ["silu"]}, r"activation \['silu'\] is not supported"),
        ({"model_type": ["llama"]}, r"model_type must be one of .* got \['llama'\]"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_a_wrong_value_in_config_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        read_config(small_model("llama").config.to_dict() | change)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_every_kind_is_read_or_named(kind):
    """No value of any setting, of whatever type, leads to anything but a sentence."""
    settings = small_model(kind).config.to_dict()
    for key in settings:
        for value in ("many", -1, 10**9, 1.5, True, [], [1], ["a"], {}, {"a": 1}, None):
            with contextlib.suppress(ValueError):
                read_config(settings | {key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 9000}, "holds weights of 3 layers, .* says 9000"),
        ({"vocab_size": 10**9}, r"embedding.weight has shape \(97, 48\), expected \(1000000000"),
        ({"hidden_size": 48 * 10**6}, r"embedding.weight has shape \(97, 48\), expected \(97, 48"),
        ({"intermediate_size": 10**8}, r"feedforward.down.weight has shape|feedforward.*expected"),
    ],
)
def test_absurd_sizes_are_held_against_the_file(tmp_path, change, message):
    save_small_model("llama", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | change))
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


def test_absurd_numbers_of_experts_are_held_against_the_file(tmp_path):
    save_small_model("mixtral", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"num_local_experts": 90_000}))
    with pytest.raises(ValueError, match=r"holds weights of 4 experts, .* says 90000"):
        load_folder(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, value):
    save_small_model("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.self_attn.q_proj.weight"][3, :2] = value
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"blocks.1.attention.query_key_value.weight holds 2 val"):
        load_folder(tmp_path)


def test_whole_numbers_are_no_weights(tmp_path):
    save_small_model("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"model.norm.weight": torch.ones(48, dtype=torch.int8)}, path)
    with pytest.raises(ValueError, match=r"model.norm.weight holds torch.int8"):
        load_folder(tmp_path)


def test_a_tokenizer_that_cannot_be_read_does_not_lose_the_model(tmp_path):
    reference = save_small_model("llama", tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Spiral"}}')
    with pytest.raises(ValueError, match=r"tokenizer cannot be read: .* tokenizer=False"):
        load_folder(tmp_path)
    model, tokenizer = load_pretrained(tmp_path, tokenizer=False)
    assert tokenizer is None
    ids = torch.randint(97, (1, 9))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    save_small_model("llama", tmp_path)
    BPETokenizer.train("a text of words and words", 300).save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=r"has ids up to \d+, .* for 97 alone: they do not belong"):
        load_folder(tmp_path)


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path):
    save_small_model("llama", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"from_pretrained\(folder\).save_pretrained"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "header",
    [b"", b"\xff" * 100, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", b"\x02" + bytes(7) + b"[]"],
)
def test_a_hostile_header_is_a_sentence(tmp_path, header):
    save_small_model("llama", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(header)
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or cut short"):
        load_folder(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}'])
def test_an_index_of_another_form_is_named(tmp_path, content):
    save_small_model("llama", tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"model.safetensors.index.json"):
        load_folder(tmp_path)
