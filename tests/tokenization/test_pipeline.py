"""Each part of a published tokenizer.json, alone, against the library that wrote it."""

import json
from functools import cache
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from lib import corpora
from lib.tokenization import BPETokenizer, pipeline
from lib.tokenization.pretokenization import PATTERNS
from tests.tokenization.strategies import HARD, is_old, mixed_text

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
BYTES_ONLY = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
EXPRESSIONS = {"digits": Regex(r"\p{N}{1,3}"), "gpt4": Regex(PATTERNS["gpt4"]), "a text": " "}
SPLITS = {
    f"Split {name}, {behavior}, invert={invert}": pre_tokenizers.Split(pattern, behavior, invert)
    for (name, pattern), behavior, invert in product(EXPRESSIONS.items(), BEHAVIORS, (False, True))
}
STEPS = SPLITS | {
    "Digits, one by one": pre_tokenizers.Digits(individual_digits=True),
    "Digits, together": pre_tokenizers.Digits(individual_digits=False),
    "Whitespace": pre_tokenizers.Whitespace(),
    "WhitespaceSplit": pre_tokenizers.WhitespaceSplit(),
    "BertPreTokenizer": pre_tokenizers.BertPreTokenizer(),
    "CharDelimiterSplit": pre_tokenizers.CharDelimiterSplit("a"),
    "Metaspace": pre_tokenizers.Metaspace(),
    **{f"Punctuation, {b}": pre_tokenizers.Punctuation(b) for b in BEHAVIORS},
}
NORMALIZERS = {
    "NFC": normalizers.NFC(),
    "NFD": normalizers.NFD(),
    "NFKC": normalizers.NFKC(),
    "NFKD": normalizers.NFKD(),
    "Lowercase": normalizers.Lowercase(),
    "Strip": normalizers.Strip(),
    "Strip on the left": normalizers.Strip(left=True, right=False),
    "StripAccents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "Replace a text": normalizers.Replace("a", "bb"),
    "Replace a pattern": normalizers.Replace(Regex("l+"), "L"),
    "Prepend": normalizers.Prepend("x"),
}
ADDED = [{}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"normalized": True}]
TEXTS = [*corpora.SAMPLES.values(), *("".join(pair) for pair in product(HARD, HARD))][::4]


def trained(pre_tokenizer, normalizer=None, **options) -> Tokenizer:
    """A small tokenizer of bytes with these parts."""
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
    )
    tokenizer.train_from_iterator(corpora.SAMPLES.values(), trainer)
    return tokenizer


def with_added_token(options: dict) -> Tokenizer:
    tokenizer = trained(BYTES, normalizers.Lowercase())
    tokenizer.add_special_tokens([AddedToken("<mask>", **options)])
    tokenizer.add_tokens([AddedToken("ab", **options)])
    return tokenizer


def with_tokens_changed_by_the_normalizer() -> Tokenizer:
    """Their options hold for the spelling that the normalizer gives them, too."""
    tokenizer = trained(BYTES, normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))
    tokenizer.add_tokens([AddedToken("AB", single_word=True, normalized=True)])
    tokenizer.add_tokens([AddedToken("É", lstrip=True, rstrip=True, normalized=True)])
    return tokenizer


def with_spaces_as_a_token() -> Tokenizer:
    """Of spaces that the token before has taken, the next one is not found again."""
    tokenizer = trained(BYTES)
    tokenizer.add_tokens([AddedToken("  ", lstrip=True, rstrip=True)])
    return tokenizer


def first_piece_after(step, normalizer=None) -> Tokenizer:
    """Where a text's beginning is removed, no piece is the first."""
    first = pre_tokenizers.Metaspace(prepend_scheme="first")
    return trained(pre_tokenizers.Sequence([step, first, BYTES_ONLY]), normalizer)


def of_characters(fuse: bool) -> Tokenizer:
    """Characters, a part of the bytes to fall back to, and a token for the rest."""
    alphabet = dict(zip("abcdefghijklmnopqrstuvwxyz <", range(2, 30), strict=True))
    vocab = {"<unk>": 0, "</s>": 1, **alphabet}
    some = [b for b in range(256) if b % 7]
    vocab |= {f"<0x{b:02X}>": 30 + i for i, b in enumerate(some)}
    model = models.BPE(vocab, [], unk_token="<unk>", fuse_unk=fuse, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


PIPELINES = {
    "added tokens that the normalizer changes": with_tokens_changed_by_the_normalizer,
    "spaces as a token": with_spaces_as_a_token,
    "first after WhitespaceSplit": lambda: first_piece_after(pre_tokenizers.WhitespaceSplit()),
    "first after Strip": lambda: first_piece_after(
        pre_tokenizers.Punctuation(), normalizers.Strip()
    ),
    "some bytes to fall back to": lambda: of_characters(False),
    "some bytes, unknown ones fused": lambda: of_characters(True),
    **{
        n: (lambda s=s: trained(pre_tokenizers.Sequence([s, BYTES_ONLY]))) for n, s in STEPS.items()
    },
    **{n: (lambda s=s: trained(BYTES, s)) for n, s in NORMALIZERS.items()},
    **{f"added token, {a}": (lambda a=a: with_added_token(a)) for a in ADDED},
    "several Splits": lambda: trained(pre_tokenizers.Sequence([*[*SPLITS.values()][:4], BYTES])),
    "ByteLevel with a space before": lambda: trained(pre_tokenizers.ByteLevel()),
    "ignore_merges": lambda: trained(BYTES, ignore_merges=True),
}


@pytest.fixture(scope="module", params=PIPELINES)
def pair(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("pipeline") / "tokenizer.json"
    hugging_face = PIPELINES[request.param]()
    hugging_face.save(str(path))
    return hugging_face, BPETokenizer.load(path)


@pytest.mark.parity("67 parts of tokenizer.json, 363 hard strings", "tokenizers", "same ids, text")
def test_ids_and_text_of_hard_strings(pair):
    hugging_face, ours = pair
    for text in TEXTS:
        ids = ours.encode(text, "all", add_special_tokens=True)
        assert ids == hugging_face.encode(text).ids, text
        assert ours.decode(ids) == hugging_face.decode(ids, skip_special_tokens=False), text


@settings(max_examples=20)
@given(text=mixed_text)
def test_ids_of_any_text(pair, text):
    assume(is_old(text))
    hugging_face, ours = pair
    assert ours.encode(text, "all", add_special_tokens=True) == hugging_face.encode(text).ids


# What Oniguruma reads in another way than Python's modules, and what published files have.
ONIGURUMA = [
    r"\w+", r"\W+", r"[\w']+", r"[^\w\s]+", r"\w+|[^\w\s]+", r"[\W]", r"\bab?", r"\B.", r"\h+",
    r"[\h]+", r"\H+", r"^a", r"^\s+", r"a$", r"\s$", r"\s++$", r"\A\w", r"\w\Z", r"\w\z",
    r"\p{N}{1,3}+", r"(?:ab|c{1,2}+){1,2}+", r"a{2}+b", r"[a-z&&[^aeiou]]+", r"[a-z[0-9]]+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[^\s\p{L}\p{N}|~]+", r"[[:word:]]+", r"[^[:digit:]]",
    r"(?m:.+)", r"\N+", r"\O", r"[]a]+", r"[\]a-c]+", r"(?i:'s|'t|'re)|\s?\p{L}++", r"[!-/:-~]+",
    r"\d{1,3}(?=(?:\d{3})*\b)", r"(?i)ß", r"(?i)ss", r"(?i:stra)ß|(?-i:S)", r"(?i)[a-zß]+",
    r"(?i)i", r"(?i)[^a-z]", r"(?i)ffi|ﬁ", r"(?i)sst", r"(?i)fix+|FL", r"(?i)\p{Lu}x?",
    r"(?i:a|\p{Lu})\p{Ll}", r"a(?i)b(?-i)C",
    r"(?i)İ|ı", r"\x{41}|\x{1F600}", r"[\x{4e00}-\x{9fa5}]+", r"\e|\x41", r"\p{Word}+",
    r"\P{Word}", r"[\p{^Word}a]", r"\p{XDigit}+", r"[[:punct:]]+", r"[[:^digit:]]",
    r"[[:^alnum:]a]", r"\pL", r"(?<n>a)\k<n>",
]  # fmt: skip
EMPTY = [
    r"a*", r"|a", r"a|", r"\s*", r"", r"^", r"$", r"\b", r"(?=a)", r"(?<=\s)", r"\p{L}*", r"\d*?",
    r"a|(?=b)", r"(?!\w)", r"\d+|$", r"^|\s", r"(?i)ss|", r"x{0}",
]  # fmt: skip
hard_text = mixed_text | st.text("aAsSßẞiIİıfﬁﬃⅷ1½٣_ \n\u0307\u200d漢A😀\x1b'", max_size=12)


@cache
def splits(expression: str, behavior: str = "isolated", invert: bool = False):
    """The same splitting, ours and theirs; a text takes less time than either of them."""
    step = {"type": "Split", "pattern": {"Regex": expression}, "invert": invert}
    step["behavior"] = behavior.title().replace("_", "")
    theirs = pre_tokenizers.Split(Regex(expression), behavior, invert)
    return pipeline.pre_tokenizer([step]), theirs.pre_tokenize_str


@cache
def replacements(expression: str):
    """The same replacement, ours and theirs."""
    step = {"type": "Replace", "pattern": {"Regex": expression}, "content": "<>"}
    theirs = normalizers.Replace(Regex(expression), "<>")
    return pipeline.normalizer([step]), theirs.normalize_str


# To draw a text takes as long as five expressions do with it: a row of them gets the same texts.
@pytest.mark.parametrize("expressions", [ONIGURUMA[i::6] for i in range(6)])
@given(text=hard_text)
def test_expressions_match_what_they_match_in_oniguruma(expressions, text):
    assume(is_old(text))
    for expression in expressions:
        ours, theirs = splits(expression)
        assert ours(text) == [piece for piece, _ in theirs(text)], expression


@pytest.mark.parametrize("expressions", [EMPTY[i::3] for i in range(3)])
@settings(max_examples=20)
@given(text=hard_text)
def test_empty_matches_cut_as_in_oniguruma(expressions, text):
    assume(is_old(text))
    for expression in expressions:
        for behavior, invert in product(BEHAVIORS, (True, False)):
            ours, theirs = splits(expression, behavior, invert)
            assert ours(text) == [piece for piece, _ in theirs(text)], (expression, behavior)
        ours, theirs = replacements(expression)
        assert ours(text) == theirs(text), expression


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "map of characters is damaged"),
        ({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="}, "characters is damaged"),
        ({"type": "Prepend", "prepend": "x" * 5000}, "prepend must be a text of at most 4,096"),
        ({"type": "Prepend", "prepend": 3}, "prepend must be a text of at most 4,096"),
        (
            {"type": "Replace", "pattern": {"Regex": "a*"}, "content": "x" * 5000},
            "content must be a text of at most 4,096",
        ),
        (
            {"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 4000},
            "replacing 'a' makes 1,200,000 characters of 300",
        ),
    ],
)
def test_a_normalizer_that_cannot_be_applied_is_named(step, message):
    with pytest.raises(ValueError, match=message):
        pipeline.normalizer([step])("a" * 300)


@pytest.mark.parametrize("byte_level", [True, False])
def test_a_file_without_a_decoder_puts_spaces_between_tokens(tmp_path, byte_level):
    """As in the quick start of tokenizers; saved and loaded, it does the same."""
    hugging_face = trained(BYTES if byte_level else pre_tokenizers.Whitespace())
    content = json.loads(hugging_face.to_str()) | {"decoder": None}
    hugging_face = Tokenizer.from_str(json.dumps(content))
    hugging_face.save(str(tmp_path / "tokenizer.json"))
    ours = BPETokenizer.load(tmp_path / "tokenizer.json")
    ours.save(tmp_path / "again.json")
    again = BPETokenizer.load(tmp_path / "again.json")
    for text in TEXTS:
        ids = hugging_face.encode(text).ids
        for skip in (True, False):
            expected = hugging_face.decode(ids, skip_special_tokens=skip)
            assert ours.decode(ids, skip) == again.decode(ids, skip) == expected
