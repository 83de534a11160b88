"""Texts, ids, settings and files that no tokenizer takes: a clear error each, or a result."""

import base64
import copy
import json
import tempfile
from functools import cache
from pathlib import Path

from lib import corpora
from lib.tokenization import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from lib.tokenization.chat import encode_chat, render_chat
from tests.hostile.model import VALUES

TEXT = "low lower lowest new newer newest " * 30
KINDS = {"bpe": BPETokenizer, "unigram": UnigramTokenizer, "wordpiece": WordPieceTokenizer}
SIZES = {"bpe": 300, "unigram": 40, "wordpiece": 60}
SETTINGS = {
    "bpe": ["text", "vocab_size", "pattern", "min_frequency", "special_tokens", "eos_token"],
    "unigram": ["text", "vocab_size", "pattern", "longest", "byte_fallback"],
    "wordpiece": ["text", "vocab_size", "min_frequency", "special_tokens"],
}
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
TEMPLATES = {
    "unclosed": "{% for m in messages %}",
    "unknown filter": "{{ messages | nothing }}",
    "no attribute": "{{ messages.a.b.c }}",
    "endless": "{% for a in range(10**9) %}{{ a }}{% endfor %}",
    "nested loops": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "large": "{{ 'a' * 10**9 }}",
    "reaches out": "{{ ''.__class__.__mro__ }}",
    "divides": "{{ 1 / 0 }}",
    "raises": "{{ raise_exception('no') }}",
    "includes": "{% include 'a' %}",
    "recursive": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
}
DAMAGE = [None, True, 3, -1, 1.5, "a", "", [], ["a"], {}, {"a": 1}, [[]], 10**30, "\ud800"]
BYTES = {
    "empty": b"",
    "zeros": bytes(1000),
    "ones": b"\xff" * 3_000_000,
    "varints": b"\x80" * 3_000_000,
    "deep": b"[" * 1_000_000,
    "deep maps": b'{"a":' * 100_000,
    "not UTF-8": b"\xff\xfe\x00",
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "html": b"<!DOCTYPE html><html>404</html>",
    "one long token": base64.b64encode(b"a" * 200_000) + b" 0\n",
    "many long tokens": b"".join(base64.b64encode(b"a" * n) + b" %d\n" % n for n in range(1, 2000)),
    "no ranks": b"YQ==\nYg==\n",
    "rank twice": b"YQ== 0\nYg== 0\n",
    "negative rank": b"YQ== -1\n",
    "no base64": b"!!!! 0\n",
    "many lines": b"a\n" * 1_000_000,
}
PATTERNS = ["(", "[", "(?<n>a)(?<n>b)", "(a+)+$", "(?R)", "\\", "*", "(?#", "a{999999}", "(" * 5000]
READERS = {
    "BPETokenizer.load": ("tokenizer.json", BPETokenizer.load),
    "BPETokenizer.load_tiktoken": ("a.tiktoken", lambda p: BPETokenizer.load_tiktoken(p, "gpt2")),
    "UnigramTokenizer.load": ("a.model", UnigramTokenizer.load),
    "WordPieceTokenizer.load": ("vocab.txt", WordPieceTokenizer.load),
}


@cache
def trained(kind: str):
    return KINDS[kind].train(TEXT, SIZES[kind])


def train(kind: str, setting: str, value: object) -> None:
    settings = {"text": TEXT, "vocab_size": SIZES[kind]} | {setting: value}
    KINDS[kind].train(**settings)


def file(name: str, content: bytes) -> Path:
    path = Path(tempfile.mkdtemp(prefix="hostile-")) / name
    path.write_bytes(content)
    return path


@cache
def tokenizer_json() -> dict:
    path = Path(tempfile.mkdtemp(prefix="hostile-"), "tokenizer.json")
    BPETokenizer.train(corpora.english(20_000), 400, special_tokens=["<s>"]).save(path)
    return json.loads(path.read_text())


def places(node: object, way: tuple = ()) -> list[tuple]:
    """The ways to all values of a JSON document, of long lists and tables only the first ones."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in list(items)[:4] if len(node) > 20 else items:
        found.append((*way, key))
        if isinstance(value, dict | list):
            found += places(value, (*way, key))
    return found


def load_damaged(way: tuple, value: object) -> None:
    content = copy.deepcopy(tokenizer_json())
    node = content
    for key in way[:-1]:
        node = node[key]
    node[way[-1]] = value
    tokenizer = BPETokenizer.load(file("tokenizer.json", json.dumps(content).encode()))
    tokenizer.decode(tokenizer.encode("low <s> newest 12 é"))


CASES = [
    (f"{kind}.train({setting}={value!r:.20})", lambda k=kind, s=setting, v=value: train(k, s, v))
    for kind, settings in SETTINGS.items()
    for setting in settings
    for value in VALUES
]
CASES += [
    (f"{kind}.{method}({value!r:.20})", lambda k=kind, m=method, v=value: getattr(trained(k), m)(v))
    for kind in KINDS
    for method in ("encode", "decode", "save")
    for value in VALUES
    if method != "save" or not isinstance(value, str | int)  # a name, or an open file
]
CASES += [
    (f"bpe pattern {p!r:.20}", lambda p=p: BPETokenizer.train(TEXT + "a" * 5000, 300, p))
    for p in PATTERNS
]
CASES += [
    (f"bpe.encode(allowed_special={v!r:.20})", lambda v=v: trained("bpe").encode("a", v))
    for v in VALUES
]
CASES += [
    (f"unigram.sample({s}={v!r:.20})", lambda s=s, v=v: trained("unigram").sample("low", **{s: v}))
    for s in ("theta", "seed")
    for v in VALUES
]
STEPS = [
    3, [3], {}, {"type": 3}, {"type": "X"}, {"type": "Sequence"}, {"type": "Digits"},
    *({"type": "Split", "pattern": p, "behavior": "Isolated"} for p in [
        3, {"Regex": "("}, {"Regex": "(a+)+$"}, {"Regex": r"\x{110000}"}, {"Regex": r"\k<a>"},
        {"Regex": "(?i"}, {"Regex": "[" * 5000}, {"Regex": "(" * 5000 + ")" * 5000},
    ]),
    *({"type": "Replace", "pattern": {"Regex": "l*"}, "content": c} for c in ("", 3, "x" * 10**6)),
    *({"type": "Prepend", "prepend": p} for p in ("", 3, "x" * 10**6)),
    *({"type": "Precompiled", "precompiled_charsmap": c} for c in (3, "!!", "AAAA")),
    *({"type": "Metaspace", "replacement": r} for r in ("", "ab", 3)),
    *({"type": "Strip", "content": c, "start": s, "stop": 0} for c, s in [(" ", 10**30), (3, 1)]),
    *({"type": kind} for kind in ("Strip", "BPEDecoder", "ByteFallback", "SentencePiece")),
    {"type": "BPEDecoder", "suffix": ""}, {"type": "CharDelimiterSplit", "delimiter": ""},
    {"type": "TemplateProcessing", "single": 3, "special_tokens": {}},
]  # fmt: skip
CASES += [
    (f"tokenizer.json with {part} {step!r:.60}", lambda p=part, s=step: load_damaged((p,), s))
    for part in ("normalizer", "pre_tokenizer", "decoder", "post_processor")
    for step in STEPS
]
CASES += [
    (f"{name}: {what}", lambda r=reader, n=file_name, b=content: r(file(n, b)))
    for name, (file_name, reader) in READERS.items()
    for what, content in BYTES.items()
]
CASES += [
    (f"{name}({value!r:.20})", lambda r=reader, v=value: r(v))
    for name, (_, reader) in READERS.items()
    for value in VALUES
    if not isinstance(value, int)
]
CASES += [
    (f"render_chat: {name}", lambda t=template: render_chat(t, [{"role": "a", "content": "b"}]))
    for name, template in TEMPLATES.items()
]
CASES += [
    (f"render_chat(messages={v!r:.20})", lambda v=v: render_chat(TEMPLATE, v)) for v in VALUES
]
CASES += [
    (f"render_chat({v!r:.20})", lambda v=v: render_chat(v, [{"role": "a", "content": "b"}]))
    for v in VALUES
]
CASES += [
    (f"encode_chat(messages={v!r:.20})", lambda v=v: encode_chat(trained("bpe"), v, TEMPLATE))
    for v in VALUES
]
CASES += [
    (f"tokenizer.json {'.'.join(map(str, way))} = {v!r:.20}", lambda w=way, v=v: load_damaged(w, v))
    for way in places(tokenizer_json())
    for v in DAMAGE
]
