"""What no decoding takes: each of CASES must raise a clear error, or return."""

import dataclasses
import functools

import numpy as np
import torch

from lib.generation import GenerationConfig, generate, stream_text
from lib.generation import logits as processors
from lib.generation.decode import next_token
from lib.generation.drafts import LookupDraft, ModelDraft, first_layers
from lib.generation.grammar import Grammar
from lib.generation.json_schema import json_value, schema_regex
from lib.generation.logits import History
from lib.generation.measures import distinct_n, surprise
from lib.generation.regex_parsing import compile_regex
from lib.generation.speculative import speculate
from lib.generation.voting import majority_vote, pass_at_n, sample_many
from lib.settings import shortened
from lib.tokenization import BPETokenizer
from tests.hostile.model import IDS, INPUTS, MASKS, VALUES, model

WAYS = {
    "greedy": {},
    "sampling": {"do_sample": True},
    "beams": {"num_beams": 2},
    "contrastive": {"penalty_alpha": 0.5, "top_k": 4},
    "dola": {"dola_layers": "low"},
}
TOKENIZER = BPETokenizer.train("abc" * 9, 256)
PATTERNS = [
    "(" * 9999,
    "a" + "*" * 9999,
    "a{1000}{3}",
    "((a{1000}){1000}){1000}",
    "(a|b)*a(a|b){30}",
]
PATTERNS += [
    "(.*a){900}",
    "[" * 9999,
    "a{99999999999999999999}",
    "a{\u0663}",
    "(?P<a>b)",
    "\\",
    "[a",
]
PATTERNS += ["|".join(f"word{i}" for i in range(10_000)), "(" * 49 + "a" + ")*" * 49, "[^\\W]{900}"]
PATTERNS += [*VALUES]
REF = {"$ref": "#"}
SCHEMAS = [*VALUES, REF, {"anyOf": [REF, REF]}, {"properties": {"a": REF, "b": REF}}]
SCHEMAS += [{"allOf": [{"enum": list(range(900))}] * 40}, {"enum": list(range(10_000))}]
SCHEMAS += [{"properties": {f"p{i}": {} for i in range(500)}}, {"minItems": 10**9}]
SCHEMAS += [functools.reduce(lambda inner, _: {"items": inner}, range(5000), True)]
SCHEMAS += [functools.reduce(lambda inner, _: {"const": [inner]}, range(900), 0)]
SCHEMAS += [{"pattern": pattern} for pattern in PATTERNS]
KEYWORDS = ["type", "properties", "required", "items", "minItems", "maxItems", "enum", "const"]
KEYWORDS += ["anyOf", "oneOf", "allOf", "$ref", "minLength", "maxLength", "additionalProperties"]
KEYWORDS += ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "not"]
SCHEMAS += [{keyword: value} for keyword in KEYWORDS for value in VALUES]
FILTERS = {
    name: getattr(processors, name)
    for name in (
        *[
            "top_k",
            "top_p",
            "min_p",
            "top_a",
            "tail_free",
            "typical_p",
            "top_h",
            "xtc",
            "top_n_sigma",
        ],
        "epsilon_cutoff",
        "eta_cutoff",
        "temperature",
        "quadratic_smoothing",
    )
}
SETTINGS = dict(max_new_tokens=3)


def run(ids=IDS, mask=None, **settings):
    return generate(model(), ids, GenerationConfig(**(SETTINGS | settings)), mask)


def use(field, value):
    """A setting that is accepted must work, drawn or searched."""
    base = SETTINGS | ({"num_beams": 2} if "beam" in field or "length_p" in field else {})
    config = GenerationConfig(**(base | {field: value}))
    if config.max_new_tokens < 10:
        generate(model(), IDS, config)


def draft(kind, *arguments):
    return speculate(model(), kind(*arguments), IDS[:1], GenerationConfig(**SETTINGS))


CASES = [
    (f"GenerationConfig({field.name}={value!r:.20})", lambda f=field.name, v=value: use(f, v))
    for field in dataclasses.fields(GenerationConfig)
    for value in VALUES
]
CASES += [
    (f"GenerationConfig(do_sample, {field.name}={value!r:.20})",
     lambda f=field.name, v=value: GenerationConfig(**{"do_sample": True, f: v}))
    for field in dataclasses.fields(GenerationConfig)
    for value in VALUES
]  # fmt: skip
for way, settings in WAYS.items():
    CASES += [(f"{way}(ids: {n})", lambda v=v, s=settings: run(v, **s)) for n, v in INPUTS.items()]
    CASES += [
        (f"{way}(mask: {n})", lambda v=v, s=settings: run(IDS, v, **s)) for n, v in MASKS.items()
    ]
    CASES += [(f"{way}(eos outside)", lambda s=settings: run(eos_token_id=11, **s))]
    CASES += [(f"{way}(too long)", lambda s=settings: run(**(s | {"max_new_tokens": 99})))]
for name, value in INPUTS.items():
    CASES += [
        (f"speculate(ids: {name})",
         lambda v=value: speculate(model(), LookupDraft(11), v, GenerationConfig(**SETTINGS))),
        (f"sample_many(ids: {name})",
         lambda v=value: sample_many(model(), v, 2, GenerationConfig(do_sample=True, **SETTINGS))),
        (f"surprise(ids: {name})", lambda v=value: surprise(model(), v)),
    ]  # fmt: skip
for value in VALUES:
    name = f"{value!r:.20}"
    CASES += [
        (f"{n}({name})", lambda f=f, v=value: f(torch.randn(2, 11), v)) for n, f in FILTERS.items()
    ]
    CASES += [
        (f"LookupDraft({name})", lambda v=value: draft(LookupDraft, v)),
        (f"LookupDraft(max_ngram={name})", lambda v=value: draft(LookupDraft, 11, v)),
        (f"ModelDraft({name})", lambda v=value: draft(ModelDraft, v)),
        (f"first_layers({name})", lambda v=value: first_layers(model(), v)),
        (f"n_draft={name}", lambda v=value: speculate(
            model(), LookupDraft(11), IDS[:1], GenerationConfig(**SETTINGS), v)),
        (f"generate(config={name})", lambda v=value: generate(model(), IDS, v)),
        (f"generate(model={name})", lambda v=value: generate(v, IDS)),
        (f"surprise(start={name})", lambda v=value: surprise(model(), IDS, v)),
        (f"sample_many(n={name})", lambda v=value: sample_many(
            model(), IDS, v if type(v) is not int else -v,
            GenerationConfig(do_sample=True, **SETTINGS))),
        (f"stream_text({name})", lambda v=value: list(
            stream_text(model(), TOKENIZER, v, GenerationConfig(**SETTINGS)))),
        (f"stream_text(tokenizer={name})", lambda v=value: list(
            stream_text(model(), v, "a", GenerationConfig(**SETTINGS)))),
        (f"json_value({name})", lambda v=value: json_value(v)),
        (f"distinct_n({name})", lambda v=value: distinct_n([[1, 2]], v)),
        (f"pass_at_n({name})", lambda v=value: pass_at_n(1, 2, v)),
        (f"majority_vote({name})", lambda v=value: majority_vote(v)),
    ]  # fmt: skip
USUAL = {
    "temperature": np.float64(0.7),
    "top_p": np.float32(0.9),
    "top_k": np.int64(3),
    "seed": np.int64(3),
    "eos_token_id": np.int64(3),
    "sequence_bias": {(np.int64(1),): np.float64(2)},
    "max_new_tokens": np.int32(2),
}
USUAL_STOPS = [{1, 2}, frozenset({1}), [1, 2], (np.int64(1),)]


def works(**settings):
    """What is a number, or a collection of ids, to a reader: it must return."""
    try:
        run(do_sample=True, **settings)
    except ValueError as error:
        raise AssertionError(settings) from error


CASES += [(f"{n}={v!r}", lambda n=n, v=v: works(**{n: v})) for n, v in USUAL.items()]
CASES += [(f"eos={v!r}", lambda v=v: works(eos_token_id=v)) for v in USUAL_STOPS]
CASES += [(f"compile_regex({p!r:.30})", lambda p=p: compile_regex(p)) for p in PATTERNS]
CASES += [(f"Grammar.regex({p!r:.30})", lambda p=p: Grammar.regex(p, TOKENIZER)) for p in VALUES]
CASES += [(f"schema {shortened(s)}", lambda s=s: compile_regex(schema_regex(s))) for s in SCHEMAS]
CASES += [
    (f"next_token(NaN, {way})", lambda s=settings: next_token(
        torch.full((1, 11), torch.nan), GenerationConfig(**s), None, History(IDS[:1], 1)))
    for way, settings in WAYS.items() if way in ("sampling",)
]  # fmt: skip
