import contextlib
import struct
import subprocess
import sys
from functools import cache, partial

import gguf
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from references import HARD_STRINGS, small_model, write_small_gguf, write_small_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from lib.downloads import smollm2_path
from lib.model import KVCache
from lib.model.positions import rope_frequencies
from lib.pretrained import load_gguf, load_pretrained
from lib.pretrained.gguf_reader import GGUFTensor, read_gguf
from lib.tokenization.chat import render_chat

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n",
    "Water boils at 100 degrees",
    "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n",
    "1, 2, 3, 4, 5,",
    "Once upon a time there was a",
    "Der schnelle braune Fuchs",
    "The derivative of x^2 is",
    "    \n\n\tindented",
    "To be, or not to be, that is the",
]


@cache
def parsed(path, parser=gguf.GGUFReader):
    """What gguf reads of a file, which takes seconds: once, and not of NumPy's slow memmaps."""
    memmap = np.memmap
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            np, "memmap", lambda *args, **kwargs: memmap(*args, **kwargs).view(np.ndarray)
        )
        return parser(path)


@pytest.fixture(scope="module")
def reference_model():
    path = smollm2_path()
    with pytest.MonkeyPatch.context() as patch:  # transformers asks for both again and again
        patch.setattr(gguf, "GGUFReader", parsed)
        patch.setattr(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map))
        return transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        ).eval()


@pytest.fixture(scope="module")
def reference_tokenizer():
    """SmolLM2's published pipeline: digits one by one, then byte-level BPE."""
    fields = parsed(str(smollm2_path())).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == gguf.TokenType.CONTROL
        ]
    )
    return tokenizer


@pytest.fixture(scope="module")
def known_bytes(smollm2):
    """The bytes that have a token: SmolLM2's vocabulary lacks those that its corpus never held."""
    tokenizer = smollm2[1]
    tokens = (tokenizer.id_to_bytes(i) for i in range(tokenizer.vocab_size))
    return {token[0] for token in tokens if len(token) == 1}


@pytest.mark.parity("SmolLM2-135M logits, ten prompts", "transformers on the same GGUF", "1e-3")
@pytest.mark.parametrize("prompt", PROMPTS)
def test_smollm2_logits_equal_transformers(smollm2, reference_model, prompt):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode(prompt, allowed_special="all")])
    with torch.inference_mode():
        ours, theirs = model(ids), reference_model(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
    assert ours[0, -1].topk(10).indices.tolist() == theirs[0, -1].topk(10).indices.tolist()


def test_paris(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    with torch.inference_mode():
        probabilities = model(ids)[0, -1].softmax(-1)
    (paris,) = tokenizer.encode(" Paris")
    assert probabilities.argmax() == paris
    assert probabilities[paris].item() == pytest.approx(0.77, abs=0.01)


def test_cache_gives_the_same_logits(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode("A cache changes the cost of a step, not its result.")])
    cache = KVCache(model.config, 1, ids.shape[1])
    with torch.inference_mode():
        steps = [
            model(piece, cache=cache) for piece in ids.split([4] + [1] * (ids.shape[1] - 4), 1)
        ]
        torch.testing.assert_close(torch.cat(steps, 1), model(ids), atol=1e-3, rtol=1e-4)


@pytest.mark.parity("SmolLM2 token ids, hard strings", "tokenizers", "identical")
@pytest.mark.parametrize("text", HARD_STRINGS + PROMPTS)
def test_smollm2_ids_equal_tokenizers(smollm2, reference_tokenizer, text):
    tokenizer = smollm2[1]
    specials = tokenizer.encode(text, allowed_special="all")
    assert specials == reference_tokenizer.encode(text).ids
    assert tokenizer.decode(specials) == text


@given(st.text())
@settings(max_examples=200)
def test_smollm2_ids_equal_tokenizers_on_any_text(smollm2, reference_tokenizer, known_bytes, text):
    tokenizer = smollm2[1]
    ids = tokenizer.encode(text, allowed_special="all")
    assert ids == reference_tokenizer.encode(text).ids
    if set(text.encode()) <= known_bytes:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_as_text_stay_text(smollm2):
    tokenizer = smollm2[1]
    assert tokenizer.encode("<|im_start|>", allowed_special="all") == [1]
    plain = tokenizer.encode("<|im_start|>")
    assert len(plain) > 1
    assert not set(plain) & set(tokenizer.special_tokens.values())
    assert tokenizer.decode(plain) == "<|im_start|>"


@pytest.mark.parity("SmolLM2 chat template", "transformers", "identical")
@pytest.mark.parametrize("generation_prompt", [True, False])
def test_chat_template_equals_transformers(smollm2, reference_tokenizer, generation_prompt):
    template = smollm2[1].chat_template
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=reference_tokenizer)
    for system in ([], [{"role": "system", "content": "Be brief."}]):
        messages = [*system, {"role": "user", "content": "Hi {{ 1 + 1 }}"}]
        messages += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}]
        expected = fast.apply_chat_template(
            messages,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=generation_prompt,
        )
        ours = render_chat(template, messages, add_generation_prompt=generation_prompt)
        assert ours == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_loading_needs_less_than_1_2_gib():
    code = (
        "from lib.pretrained import load_pretrained; load_pretrained('smollm2-135m-instruct');"
        "print(*[line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) * 1024 < 1.2 * 2**30


# Small files, written with the reference library.


@pytest.mark.parity("a small Llama through a GGUF file", "transformers", "1e-5")
@pytest.mark.parametrize("kind", ["llama", "llama-tied"])
def test_small_gguf_equals_transformers(tmp_path, kind):
    reference = small_model(kind)
    model, tokenizer = load_gguf(write_small_gguf(tmp_path / "small.gguf", reference))
    assert model.config.tie_embeddings == (kind == "llama-tied")
    assert tokenizer.special_tokens == {"<|end|>": 0}
    ids = torch.randint(97, (2, 30))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("small Qwen2, Qwen3 and Gemma 3 models through GGUF", "transformers", "1e-5")
@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "gemma3"])
def test_other_architectures_equal_transformers(tmp_path, kind):
    reference = small_model(f"{kind}-deep" if kind == "gemma3" else kind)
    path = write_small_gguf(tmp_path / "small.gguf", reference, architecture=kind)
    model, _ = load_gguf(path)
    ids = torch.randint(97, (2, 30))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("Llama 3.1's rotary scaling through GGUF", "transformers", "1e-5")
def test_rope_freqs_equal_transformers(tmp_path):
    reference = small_model("llama-scaled")
    scaled = reference.model.rotary_emb.inv_freq
    plain = rope_frequencies(8, reference.config.rope_parameters["rope_theta"])
    path = write_small_gguf(tmp_path / "small.gguf", reference, rope_freqs=(plain / scaled).numpy())
    model, _ = load_gguf(path)
    ids = torch.randint(97, (2, 30))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)


def test_the_reader_sees_what_the_reference_library_sees(tmp_path):
    path = write_small_gguf(tmp_path / "small.gguf", small_model("llama"))
    metadata, tensors = read_gguf(path)
    reference = gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in reference.fields.items()}
    assert metadata == {key: fields[key] for key in metadata}
    assert {key for key in fields if not key.startswith("GGUF.")} == set(metadata)
    assert [tensor.name for tensor in tensors] == [tensor.name for tensor in reference.tensors]


def header(n_tensors=0, n_fields=0, rest=b"", magic=b"GGUF", version=3):
    return magic + struct.pack("<IQQ", version, n_tensors, n_fields) + rest


def field(kind, value, key=b"a"):
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value


@pytest.mark.parametrize("kind", gguf.GGMLQuantizationType)
def test_every_kind_of_numbers_is_read_or_named(kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.zeros((1, size), np.uint8)
    tensor = GGUFTensor("blk.0.attn_q.weight", (1, block), int(kind), rows)
    try:
        expected = gguf.quants.dequantize(rows, kind)
    except NotImplementedError:
        with pytest.raises(ValueError, match=f"attn_q.weight: {kind.name} cannot be read"):
            tensor.dequantized(torch.float32)
    else:
        torch.testing.assert_close(
            tensor.dequantized(torch.float32), torch.from_numpy(expected.copy()), equal_nan=True
        )


HUGE = 2**62
HOSTILE = {
    "empty": b"",
    "another magic": header(magic=b"GGML"),
    "another version": header(version=99),
    "many fields": header(n_fields=HUGE),
    "many tensors": header(n_tensors=HUGE),
    "a long key": header(n_fields=1, rest=struct.pack("<Q", HUGE)),
    "a long text": header(n_fields=1, rest=field(8, struct.pack("<Q", HUGE))),
    "a long list of numbers": header(n_fields=1, rest=field(9, struct.pack("<IQ", 4, HUGE))),
    "a long list of texts": header(n_fields=1, rest=field(9, struct.pack("<IQ", 8, HUGE))),
    "lists in lists": header(n_fields=1, rest=field(9, struct.pack("<IQ", 9, 1) * 1000)),
    "no known type": header(n_fields=1, rest=field(77, b"abcd" * 10)),
    "no text": header(n_fields=1, rest=field(8, struct.pack("<Q", 2) + b"\xff\xfe" + bytes(99))),
    "no alignment": header(n_fields=1, rest=field(4, bytes(4), b"general.alignment")),
    "many dimensions": header(1, 0, struct.pack("<QsI", 1, b"a", HUGE % 2**31 + 9) + bytes(99)),
    "a large tensor": header(1, 0, struct.pack("<QsIQIQ", 1, b"a", 1, HUGE, 0, 0) + bytes(99)),
    "no known quantization": header(1, 0, struct.pack("<QsIQIQ", 1, b"a", 1, 4, 999, 0)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_a_sentence_at_once(tmp_path, content):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"hostile.gguf is not a complete GGUF file \("):
        load_gguf(path)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("key", "kind", "value", "message"),
    [
        (
            "block_count",
            4,
            struct.pack("<I", 10**9),
            r"n_layers must be an integer in \[1, 10000\]",
        ),
        ("block_count", 4, struct.pack("<I", 9999), "holds weights of 3 layers, .* says 9999"),
        ("block_count", 6, struct.pack("<f", 3.0), r"n_layers must be an integer .* got 3\.0"),
        ("block_count", 7, b"\1", "n_layers must be an integer .* got True"),
        ("embedding_length", 8, struct.pack("<Q2s", 2, b"48"), "d_model must be .* got '48'"),
        ("attention.head_count", 9, struct.pack("<IQI", 4, 1, 6), r"n_heads must .* got \[6\]"),
        ("rope.freq_base", 6, struct.pack("<f", float("nan")), "rope_base must be .* got nan"),
    ],
)
def test_metadata_of_the_wrong_type_or_size_is_named(tmp_path, key, kind, value, message):
    path = write_small_gguf(tmp_path / "small.gguf", small_model("llama"))
    content, name = path.read_bytes(), f"llama.{key}".encode()
    at = content.index(struct.pack("<Q", len(name)) + name)
    rest = content[at + 8 + len(name) + 4 + 4 :]  # each of them holds four bytes
    altered = content[:at] + field(kind, value, name) + rest
    end = altered.index(b"token_embd.weight")
    padding = (len(content) - len(altered)) % 32
    path.write_bytes(altered[:end] + altered[end:] + bytes(32) * bool(padding))
    with pytest.raises(ValueError, match=message):
        load_gguf(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "holds a 'mamba' model; only 'llama', .* are supported"),
        ({"rms_eps": None}, "lacks the field 'llama.attention.layer_norm_rms_epsilon'"),
        (
            {"write_tokenizer": partial(write_small_tokenizer, model="rwkv")},
            "has a tokenizer 'rwkv'",
        ),
        ({"tensors": {"layers.2.mlp.up_proj": None}}, r"lacks 1 tensors.*blocks.2.feedforward.up"),
    ],
)
def test_unsupported_gguf_is_named(tmp_path, changes, message):
    path = write_small_gguf(tmp_path / "small.gguf", small_model("llama"), **changes)
    with pytest.raises(ValueError, match=message):
        load_gguf(path)


def test_truncated_gguf_is_an_error(tmp_path):
    path = write_small_gguf(tmp_path / "small.gguf", small_model("llama"))
    whole = path.read_bytes()
    for length in (0, 3, 4, 20, 200, 1000, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"small.gguf"):
            load_gguf(path)


@given(data=st.data())
@settings(max_examples=40)
def test_altered_header_loads_or_is_an_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "altered"
    folder.mkdir(exist_ok=True)
    original = folder / "original.gguf"
    if not original.exists():
        write_small_gguf(original, small_model("llama"))
    content = bytearray(original.read_bytes())
    position = data.draw(st.integers(0, 4000))
    content[position] ^= data.draw(st.integers(1, 255))
    altered = folder / "altered.gguf"
    altered.write_bytes(content)
    with contextlib.suppress(ValueError):  # anything else would be a crash
        load_gguf(altered)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.gguf"):
        load_gguf(tmp_path / "nowhere.gguf")
    with pytest.raises(ValueError, match=r"unknown model '.*nowhere.gguf'"):
        load_pretrained(str(tmp_path / "nowhere.gguf"))
