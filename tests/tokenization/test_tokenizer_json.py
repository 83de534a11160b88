"""tokenizer.json files as four model families write them; damaged ones are refused."""

import dataclasses
import json

import pytest
from hypothesis import assume, given
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer

from lib import corpora
from lib.tokenization import BPETokenizer, tokenizer_json
from lib.tokenization.pretokenization import PATTERNS
from tests.tokenization.strategies import is_old, mixed_text

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
BYTES_ONLY = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def family(name: str) -> Tokenizer:
    """A small tokenizer with the parts that the family's tokenizer.json has."""
    model = models.BPE(ignore_merges=name == "llama3")
    tokenizer = Tokenizer(model)
    steps = {
        "gpt2": [BYTES],
        "smollm2": [pre_tokenizers.Digits(individual_digits=True), BYTES],
        "llama3": [pre_tokenizers.Split(Regex(PATTERNS["gpt4"]), "isolated"), BYTES_ONLY],
        "qwen3": [pre_tokenizers.Split(Regex(PATTERNS["qwen2"]), "isolated"), BYTES_ONLY],
    }[name]
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if name == "qwen3":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"] if name in ("gpt2", "smollm2") else [],
    )
    samples = list(corpora.SAMPLES.values())
    tokenizer.train_from_iterator([corpora.english(100_000), *samples], trainer)
    if name == "llama3":
        tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
        bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
        template = processors.TemplateProcessing(
            single=f"{bos[0]} $A", pair=f"{bos[0]} $A {bos[0]} $B:1", special_tokens=[bos]
        )
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if name == "qwen3":
        tokenizer.add_special_tokens(["<|im_start|>"])
        tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    return tokenizer


FAMILIES = ["gpt2", "llama3", "qwen3", "smollm2"]
TEXTS = [*corpora.SAMPLES.values(), "a<|endoftext|>b <|im_start|>x<think>y<|begin_of_text|>", ""]


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    hugging_face = family(request.param)
    hugging_face.save(str(path))
    return request.param, hugging_face, BPETokenizer.load(path), path


@pytest.mark.parity("tokenizer.json of GPT-2, Llama 3, Qwen3, SmolLM2", "tokenizers", "same ids")
def test_ids_of_loaded_files(pair):
    name, hugging_face, ours, _ = pair
    for text in [*TEXTS, corpora.english(100_000)]:
        ids = ours.encode(text, allowed_special="all")
        assert ids == hugging_face.encode(text, add_special_tokens=False).ids
        assert ours.decode(ids) == hugging_face.decode(ids, skip_special_tokens=False)
        start = ours.encode(text, allowed_special="all", add_special_tokens=True)
        assert start == hugging_face.encode(text).ids
    assert (ours.bos_id is not None) == (name == "llama3")


@given(text=mixed_text)
def test_ids_of_any_text(pair, text):
    assume(is_old(text))
    _, hugging_face, ours, _ = pair
    expected = hugging_face.encode(text, add_special_tokens=False).ids
    assert ours.encode(text, allowed_special="all") == expected


def test_a_saved_file_reads_the_same_in_both_libraries(pair, tmp_path):
    _, hugging_face, ours, _ = pair
    ours.save(tmp_path / "again.json")
    again, theirs = (
        BPETokenizer.load(tmp_path / "again.json"),
        Tokenizer.from_file(str(tmp_path / "again.json")),
    )
    assert vars_of(again) == vars_of(ours)
    for text in TEXTS:
        expected = hugging_face.encode(text).ids
        assert theirs.encode(text).ids == expected
        assert again.encode(text, "all", add_special_tokens=True) == expected
        assert theirs.decode(expected, skip_special_tokens=False) == again.decode(expected)


def vars_of(tokenizer):
    fields = dataclasses.fields(tokenizer)
    return {field.name: getattr(tokenizer, field.name) for field in fields}


def test_merges_in_the_old_spelling(pair):
    """Before 2024 a merge was one string, "a b"."""
    _, _, ours, path = pair
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    old = path.with_name("old.json")
    old.write_text(json.dumps(content), encoding="utf-8")
    assert BPETokenizer.load(old).merges == ours.merges


@pytest.mark.parametrize(
    ("pattern", "settings"),
    [
        (None, {}),
        ("bert", {"byte_level": False, "unknown_token": "[UNK]"}),
        ("whitespace", {"byte_level": False, "end_of_word": "</w>"}),
        ("whitespace", {"byte_level": False}),
        (None, {"byte_level": False}),
        ("[a-z]+|[^a-z]", {}),
    ],
)
def test_other_settings_survive(tmp_path, pattern, settings):
    text = corpora.english(20_000)
    ours = BPETokenizer.train(text, 400, pattern, **settings)
    ours.save(tmp_path / "tokenizer.json")
    again = BPETokenizer.load(tmp_path / "tokenizer.json")
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert vars_of(again) == vars_of(ours)
    line = "The   tokenizer, says (perhaps) hello"
    assert ours.encode(line) == again.encode(line) == theirs.encode(line).ids


def test_folder_with_chat_template_for_transformers(tmp_path):
    ours = BPETokenizer.train(
        corpora.english(20_000), 400, special_tokens=["<s>"], eos_token="</s>"
    )
    ours.bos_token, ours.chat_template = "<s>", "{% for m in messages %}{{ m.content }}{% endfor %}"
    ours.save(tmp_path / "model")
    again = BPETokenizer.load(tmp_path / "model")
    assert (again.bos_id, again.eos_id, again.chat_template) == (0, 1, ours.chat_template)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert theirs.eos_token_id == 1
    assert theirs("plain text").input_ids == ours.encode("plain text")
    (tmp_path / "model" / "chat_template.jinja").write_text("from the file")
    assert BPETokenizer.load(tmp_path / "model").chat_template == "from the file"


def test_config_in_other_spellings(tmp_path):
    BPETokenizer.train("text", 300, special_tokens=["<s>"]).save(tmp_path)
    config = {
        "bos_token": {"content": "<s>", "lstrip": False},
        "chat_template": [{"name": "tool", "template": "a"}, {"name": "default", "template": "b"}],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = BPETokenizer.load(tmp_path)
    assert (ours.bos_token, ours.eos_id, ours.chat_template) == ("<s>", None, "b")


# Files that are not what they should be


@pytest.fixture
def content():
    return tokenizer_json.to_json(BPETokenizer.train("some text, some more", 270))


def change(content, path, value):
    *way, last = path
    for key in way:
        content = content[key]
    content[last] = value


STEP = {"type": "ByteLevel", "add_prefix_space": False}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["model", "type"], "Unigram", "'Unigram', as T5 has it, not 'BPE': UnigramTokenizer.load"),
        (["model", "type"], "WordPiece", "as BERT has it, not 'BPE': WordPieceTokenizer.load"),
        (["model", "type"], "WordLevel", "model type 'WordLevel' is not supported, only 'BPE'"),
        (["model", "dropout"], 0.1, "model option dropout=0.1 is not supported"),
        (["model", "continuing_subword_prefix"], "##", "option continuing_subword_prefix='##'"),
        (["normalizer"], {"type": "Nmt"}, "normalizer 'Nmt' is not supported"),
        (
            ["normalizer"],
            {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend"}]},
            "normalizer {'type': 'Prepend'} is damaged: KeyError('prepend')",
        ),
        (["pre_tokenizer"], {"type": "UnicodeScripts"}, "pre-tokenizer 'UnicodeScripts' is not"),
        (
            ["pre_tokenizer"],
            {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "Delimiter"}]},
            "pre-tokenizer 'Delimiter' is not supported: {'type': 'Delimiter'}",
        ),
        (
            ["pre_tokenizer"],
            {"type": "Sequence", "pretokenizers": [STEP, {"type": "Punctuation"}]},
            "pre-tokenizer 'Punctuation' after ByteLevel is not supported",
        ),
        (
            ["pre_tokenizer"],
            {"type": "Split", "pattern": {"String": " "}, "behavior": "Sideways"},
            "behavior must be one of",
        ),
        (
            ["pre_tokenizer"],
            {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"},
            "pattern '(' is neither",
        ),
        (["decoder"], {"type": "CTC"}, "decoder 'CTC' is not supported"),
        (["post_processor"], {"type": "Nothing"}, "post-processor 'Nothing' is not supported"),
        (
            ["post_processor"],
            {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A"}}] * 2,
                "special_tokens": {},
            },
            "post-processor template ['A', 'A']: it must hold 'A' once",
        ),
        (["model", "merges", 0], ["zz", "a"], "merge 0 ('zz', 'a') needs a token that is not"),
        (["model", "merges", 0], "no-blank", "not enough values"),
        (["model", "merges", 0], 7, "damaged tokenizer.json"),
        (["model", "merges"], None, "damaged tokenizer.json"),
        (["model", "vocab", "zz"], 5, "two tokens have the id 5: '&' and 'zz'"),
        (["model", "vocab", "zz"], 10**9, "token 'zz': id 1000000000 is no whole number near the"),
        (["model", "vocab", "zz"], "x", "token 'zz': id 'x' is no whole number near the"),
        (["model", "vocab", "zz"], True, "token 'zz': id True is no whole number near the"),
        (["model"], {}, "not a tokenizer.json of a BPE model"),
        (["added_tokens"], [{"id": 3}], "damaged tokenizer.json"),
        (
            ["added_tokens"],
            [{"id": 9, "content": "<x>"}],
            "two tokens have the id 9: '*' and '<x>'",
        ),
    ],
)
def test_parts_that_are_not_supported_are_named(tmp_path, content, path, value, message):
    change(content, path, value)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        BPETokenizer.load(file)
    assert message in str(error.value)


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1])
def test_file_cut_short(tmp_path, content, length):
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content)[:length], encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json: not JSON, perhaps cut short"):
        BPETokenizer.load(file)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"[1, 2]", b"null", b"{}"])
def test_file_of_another_kind(tmp_path, data):
    file = tmp_path / "tokenizer.json"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"tokenizer\.json: (not JSON|expected|not a tokenizer)"):
        BPETokenizer.load(file)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load(tmp_path / "tokenizer.json")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    tokenizer = BPETokenizer.train("text", 300)
    file = tmp_path / "tokenizer.json"
    file.write_text("old")
    monkeypatch.setattr(tokenizer_json.Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokenizer.save(file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
