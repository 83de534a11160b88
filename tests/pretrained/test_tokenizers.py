"""The tokenizer beside the weights: in a folder as published models have it, and in a GGUF file."""

import io
import json

import gguf
import pytest
import sentencepiece
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from references import HARD_STRINGS, small_model, write_small_gguf
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

from lib.pretrained import load_folder, load_gguf
from lib.tokenization import BPETokenizer
from lib.tokenization.chat import render_chat

TEXT = [
    "The cat sat on the mat, and the dog on the log.",
    "don't can't WE'LL in 1999 there were 12,345.678 of them",
    "  def f(x):\n    return x  # two  spaces\n",
    "naïve café ½ Ⅷ the the a a an ant",
]
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
N_IDS = 500
SPLITS = {  # as published with Llama 3 and Qwen2
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_level(split: str) -> Tokenizer:
    """Byte-level BPE with the steps that a published tokenizer.json has for this split."""
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split not in SPLITS)]
    if split in SPLITS:
        steps.insert(0, pre_tokenizers.Split(Regex(SPLITS[split]), "isolated"))
    elif split in ("starcoder", "refact"):
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer = Tokenizer(models.BPE(ignore_merges=split == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<|endoftext|>", "<|eot|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXT * 5, trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    return tokenizer


def with_byte_fallback(kind: str) -> Tokenizer:
    """BPE on characters with bytes to fall back to: Llama 2's and Mistral's, or Gemma 3's."""
    gemma = kind == "gemma3"
    spaces = [normalizers.Replace(" ", "▁")]
    if not gemma:
        spaces.insert(0, normalizers.Prepend("▁"))
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never" if gemma else "always")
    learned.train_from_iterator(TEXT * 5, trainers.BpeTrainer(vocab_size=150, show_progress=False))
    model = json.loads(learned.to_str())["model"]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<end_of_turn>"]
    if not gemma:
        special = ["<unk>", "<s>", "</s>"]
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    names = [*special, *pieces, *sorted(model["vocab"], key=model["vocab"].get)]
    tokenizer = Tokenizer(
        models.BPE(
            {name: i for i, name in enumerate(names)},
            [tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(spaces)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if gemma:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    begin = "<bos>" if gemma else "<s>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, names.index(begin))]
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    return tokenizer


@pytest.fixture(scope="module", params=["gemma3", "mistral", "llama", "olmo2"])
def folder(request, tmp_path_factory):
    """A small model with the tokenizer of its kind, written by transformers; two end ids."""
    kind, path = request.param, tmp_path_factory.mktemp(request.param)
    model = small_model(kind)
    model.resize_token_embeddings(N_IDS, mean_resizing=False)
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    if kind == "olmo2":
        names, made = {"eos_token": "<|endoftext|>"}, byte_level("llama-bpe")
    else:
        made = with_byte_fallback(kind)
    if kind == "gemma3":
        names = {"bos_token": "<bos>", "eos_token": "<eos>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    tokenizer.chat_template = TEMPLATE if names.get("bos_token") else TEMPLATE[15:]
    ends = [tokenizer.eos_token_id, 4]
    model.generation_config.eos_token_id = ends
    model.config.eos_token_id = ends[0]
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path, model, tokenizer, ends


@pytest.mark.parity("folders with a tokenizer: ids, logits, chat", "transformers", "1e-5")
def test_a_folder_with_its_tokenizer_equals_transformers(folder):
    path, reference, theirs, ends = folder
    model, tokenizer = load_folder(path)
    assert (tokenizer.bos_token, tokenizer.eos_token) == (theirs.bos_token, theirs.eos_token)
    assert list(tokenizer.stop_ids) == ends
    for text in HARD_STRINGS + TEXT:
        expected = theirs(text).input_ids
        ours = tokenizer.encode(text, allowed_special="all", add_special_tokens=True)
        assert ours == expected
        assert tokenizer.decode(expected, True) == theirs.decode(expected, skip_special_tokens=True)
    ids = torch.tensor([theirs(TEXT[0]).input_ids])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids), reference(ids).logits, atol=1e-5, rtol=1e-5)
    messages = [{"role": "user", "content": "hi"}]
    named = {"bos_token": tokenizer.bos_token} if tokenizer.bos_token else {}
    expected = theirs.apply_chat_template(messages, tokenize=False)
    assert render_chat(tokenizer.chat_template, messages, **named) == expected


def test_a_folder_and_its_tokenizer_alone_are_read_alike(folder):
    path, _, _, _ = folder
    ours, alone = load_folder(path)[1], BPETokenizer.load(path)
    assert vars(ours).keys() == vars(alone).keys()
    for name in ("tokens", "merges", "stop_ids", "bos_id", "chat_template", "chat_templates"):
        assert getattr(ours, name) == getattr(alone, name)


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
def test_all_end_ids_of_a_folder_stop(tmp_path, place):
    model = small_model("llama")
    model.resize_token_embeddings(N_IDS, mean_resizing=False)
    model.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    special = ["<|end_of_text|>", "<|eot_id|>"]
    BPETokenizer.train("low lower lowest", 300, special_tokens=special).save(tmp_path)
    file = tmp_path / place
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(content | {"eos_token_id": [0, 1]}))
    tokenizer = load_folder(tmp_path)[1]
    assert set(tokenizer.stop_ids) >= {0, 1}


def test_named_templates_and_names_in_tokenizer_config(tmp_path):
    model = small_model("llama")
    model.resize_token_embeddings(N_IDS, mean_resizing=False)
    model.save_pretrained(tmp_path)
    BPETokenizer.train("low lower lowest", 300, special_tokens=["<s>", "</s>"]).save(tmp_path)
    named = [{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "x"}]
    content = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": named}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    tokenizer = load_folder(tmp_path)[1]
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)
    assert tokenizer.chat_templates == {"tool_use": "x"}
    rendered = render_chat(
        tokenizer.chat_template, [{"role": "user", "content": "hi"}], bos_token="<s>"
    )
    assert rendered == "<s>[user]hi"


def test_the_courses_own_tokenizer_survives_saving(smollm2, tmp_path):
    tokenizer = smollm2[1]
    tokenizer.save(tmp_path)
    again = BPETokenizer.load(tmp_path)
    names = ("tokens", "merges", "special_tokens", "bos_id", "eos_id", "stop_ids", "adds_bos")
    for name in (*names, "chat_template", "chat_templates", "fingerprint"):
        assert getattr(again, name) == getattr(tokenizer, name), name


def test_unused_ids_count_for_nothing(tmp_path):
    """What must have an embedding is the largest id in use; a hole in the ids needs no token."""
    small_model("llama").save_pretrained(tmp_path)
    tokens = {"a": 0, "b": 1, "ab": 95}
    content = json.loads(Tokenizer(models.BPE(tokens, [("a", "b")])).to_str())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert load_folder(tmp_path)[1].encode("ab") == [95]
    content["model"]["vocab"]["ab"] = 97
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"ids up to 97, .* for 97 alone"):
        load_folder(tmp_path)


def gguf_tokenizer(path, write):
    """The tokenizer of a small Llama in a GGUF file, whose tokenizer `write` writes."""
    model = small_model("llama")
    model.resize_token_embeddings(N_IDS, mean_resizing=False)
    return load_gguf(write_small_gguf(path, model, write_tokenizer=write))[1]


@pytest.mark.parity("GGUF tokenizers with each published split", "tokenizers", "identical")
@pytest.mark.parametrize("pre", ["gpt-2", "mpt", "llama-bpe", "qwen2", "starcoder", "refact"])
def test_byte_level_tokenizers_in_gguf_equal_tokenizers(tmp_path, pre):
    reference = byte_level(pre)
    vocabulary = reference.get_vocab()
    names = sorted(vocabulary, key=vocabulary.get)
    merges = json.loads(reference.to_str())["model"]["merges"]

    def write(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(names)
        kinds = [3 if name.startswith("<|") else 1 for name in names]
        kinds[names.index("<think>")] = 4
        writer.add_token_types(kinds)
        writer.add_token_merges([" ".join(merge) for merge in merges])
        writer.add_eos_token_id(0)
        writer.add_eot_token_id(1)

    tokenizer = gguf_tokenizer(tmp_path / "small.gguf", write)
    assert (tokenizer.eos_id, tokenizer.stop_ids) == (0, (0, 1))
    assert tokenizer.decode(tokenizer.encode("a<think>b")) == "a<think>b"
    for text in [*HARD_STRINGS, *TEXT, "a<think> b", "1234567 12"]:
        assert tokenizer.encode(text, allowed_special="all") == reference.encode(text).ids


@pytest.fixture(scope="module", params=[True, False])
def pair(request, tmp_path_factory):
    """A SentencePiece model in the library that trained it, and in a GGUF file as ours: with a
    space before each text (Llama 2), or with a token for two spaces (Gemma).
    """
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 20),
        model_writer=trained,
        model_type="bpe",
        vocab_size=350,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=request.param,
        remove_extra_whitespaces=False,
        user_defined_symbols=["<think>"] if request.param else ["▁▁", "<think>"],
        control_symbols=["<end_of_turn>"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    reference = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = [reference.id_to_piece(i) for i in range(reference.vocab_size())]

    def write(writer):
        kinds = []
        for i, piece in enumerate(pieces):
            control, added = reference.is_control(i), piece in ("▁▁", "<think>")
            kinds.append(3 if control else 4 if added else 6 if reference.is_byte(i) else 1)
        kinds[0] = gguf.TokenType.UNKNOWN
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["  " if piece == "▁▁" else piece for piece in pieces])
        writer.add_token_scores([reference.get_score(i) for i in range(len(pieces))])
        writer.add_token_types(kinds)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_eot_token_id(pieces.index("<end_of_turn>"))
        if not request.param:
            writer.add_add_space_prefix(False)

    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return reference, gguf_tokenizer(path, write)


@pytest.mark.parity("a SentencePiece model in a GGUF file", "sentencepiece", "identical")
@given(text=st.text() | st.text("the cat▁<> 1", max_size=30) | st.sampled_from(HARD_STRINGS))
@settings(max_examples=200)
def test_sentencepiece_in_gguf_equals_sentencepiece(pair, text):
    reference, tokenizer = pair
    expected = reference.encode(text)
    assert tokenizer.encode(text) == expected
    assert tokenizer.encode(text, add_special_tokens=True) == [1, *expected]
    assert tokenizer.stop_ids == (2, reference.piece_to_id("<end_of_turn>"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda writer: writer.add_tokenizer_pre("secret"), "split 'secret'; supported is"),
        (lambda writer: writer.add_token_types([1]), "must have an entry for each of 2 tokens"),
        (lambda writer: writer.add_eos_token_id(7), "eos_token_id must be one of the 2 ids, got 7"),
        (lambda writer: writer.add_token_list([1, 2]), r"must be a list of type str: \[1, 2\]"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, change, message):
    def write(writer):
        given = writer.add_key_value
        writer.add_key_value = lambda key, *rest, **more: (
            writer.kv_data[0].pop(key, None),
            given(key, *rest, **more),
        )
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(["a", "b"])
        writer.add_token_types([1, 1])
        writer.add_token_merges([])
        change(writer)

    with pytest.raises(ValueError, match=message):
        gguf_tokenizer(tmp_path / "small.gguf", write)
