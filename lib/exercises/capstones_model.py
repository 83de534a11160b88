"""Capstone of chapter 6: the whole transformer as one function, with SmolLM2's weights."""

import inspect
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.display import claim
from lib.exercises.capstones_parts import (
    PROMPT,
    SMOLLM2,
    causal_attention,
    check_my_attention,
    check_my_norm,
    greedy,
    norm,
)
from lib.exercises.checking import Exercise, Probe
from lib.exercises.feedforward import check_swiglu, swiglu
from lib.exercises.layer_norm import OVER_SENTENCES
from lib.exercises.running import differs
from lib.model import LanguageModel, ModelConfig
from lib.pretrained import load_pretrained


def _given(reference: Callable, settings: dict) -> Callable:
    """A part of the model with those of the settings that are its own."""
    names = inspect.signature(reference).parameters
    return partial(reference, **{n: v for n, v in settings.items() if n in names})


def model_logits(
    weights: dict[str, Tensor], ids: Int[Tensor, "T"], config: ModelConfig, *,
    residual: str = "both", turn: int = 1, turned: str = "both", pairs: str = "halves",
    base: float | int | None = None, norms: str = "all", rows: str = "q k v", heads: str = "H D",
    embedded: str = "plain", layers: int = 0, returned: str = "all", **parts: object,
) -> Float[Tensor, "T V"] | Float[Tensor, "V"]:  # fmt: skip
    """All of a Llama-like model as one function of its weights; `parts` are switches of others."""
    width, n_heads, n_kv_heads = config.d_head, config.n_heads, config.n_kv_heads
    norm_, attend, feed = (_given(f, parts) for f in (norm, causal_attention, swiglu))

    def normalized(x: Tensor, at: str, name: str) -> Tensor:
        if norms == "swapped" and at:
            name = {"attention": "feedforward", "feedforward": "attention"}[name]
        return norm_(x, weights[f"{at}{name}_norm.weight"], config.norm_eps) if norms != name else x

    def before(x: Tensor, at: str, name: str) -> Tensor:
        return x if norms == "post" else normalized(x, at, name)

    def rotated(x: Tensor) -> Tensor:
        frequencies = (base or config.rope_base) ** (-torch.arange(0, width, 2) / width)
        angles = turn * torch.arange(len(ids))[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        a, b = x.chunk(2, -1) if pairs == "halves" else (x[..., 0::2], x[..., 1::2])
        turned = (a * cos - b * sin, b * cos + a * sin)
        return torch.cat(turned, -1) if pairs == "halves" else torch.stack(turned, -1).flatten(-2)

    def attended(x: Tensor, at: str) -> Tensor:
        made = (x @ weights[at + ".query_key_value.weight"].T).split(
            [n * width for n in (n_heads, n_kv_heads, n_kv_heads)], -1
        )
        shape = (width, -1) if heads == "D H" else (-1, width)
        query, key, value = (y.unflatten(-1, shape).movedim(shape.index(-1) + 1, 0) for y in made)
        key, value = (key, value) if rows == "q k v" else (value, key)
        query = rotated(query) if turned != "keys" else query
        key = rotated(key) if turned != "queries" else key
        found = attend(query, key, rotated(value) if turned == "all" else value)
        joined = (
            found.transpose(0, 1).flatten(1) if heads != "joined" else found.reshape(len(ids), -1)
        )
        return joined @ weights[at + ".output.weight"].T

    x = weights["embedding.weight"][ids]
    x = x * x.shape[-1] ** 0.5 if embedded == "scaled" else x
    for layer in range(config.n_layers + layers):
        at, start = f"blocks.{layer}.", x
        written = attended(before(x, at, "attention"), at + "attention")
        x = x + written if residual not in ("feed-forward", "none") else written
        x = normalized(x, at, "attention") if norms == "post" else x
        read = start if residual == "parallel" else x
        names = (f"{at}feedforward.{name}.weight" for name in ("gate", "up", "down"))
        written = feed(before(read, at, "feedforward"), *(weights[name] for name in names))
        x = x + written if residual not in ("attention", "none") else written
        x = normalized(x, at, "feedforward") if norms == "post" else x
    x = normalized(x, "", "final")
    return (x if returned == "all" else x[-1]) @ weights["embedding.weight"].T


def _tiny(
    answer: Callable, seed: int, length: int, n_kv_heads: int, **settings: object
) -> Tensor | dict:
    """The logits that `answer` computes from the weights of a tiny model with random ones.

    In a dict if it changes the weights.
    """
    torch.manual_seed(seed)
    config = ModelConfig(
        vocab_size=13, context_length=16, d_model=12, n_layers=2 + length // 6, n_heads=4, d_ff=10,
        n_kv_heads=n_kv_heads, d_head=6, tie_embeddings=True, initial_std=0.5, rope_base=100.0,
        norm_eps=0.1 if length < 6 else 0.3,
    )  # fmt: skip
    weights = {name: w.detach() for name, w in LanguageModel(config).state_dict().items()}
    weights = {n: w + torch.rand_like(w) if "norm" in n else w for n, w in weights.items()}
    before = {name: w.clone() for name, w in weights.items()}
    logits = answer(weights, torch.randint(13, (length,)), config, **settings)
    return logits if not differs(before, weights) else {"changed": logits}


def as_smollm2(answer: Callable, n_tokens: int = 6) -> None:
    """Give `answer` SmolLM2's weights: compare the logits, and show what it writes."""
    model, tokenizer = load_pretrained(SMOLLM2)
    weights = {name: w.detach() for name, w in model.state_dict().items()}
    ids = tokenizer.encode(PROMPT)
    with torch.inference_mode():
        got, expected = answer(weights, torch.tensor(ids), model.config), model(torch.tensor([ids]))
        text = greedy(lambda x: answer(weights, x[0], model.config)[None], ids, n_tokens)
    print(tokenizer.decode(text))
    same = torch.allclose(got, expected[0], rtol=1e-3, atol=1e-2)
    claim("your model, with SmolLM2's weights, has SmolLM2's logits", same)


check_my_model = Exercise(
    title="Your whole transformer",
    reference=lambda seed, length, n_kv_heads, **settings: _tiny(
        model_logits, seed, length, n_kv_heads, **settings
    ),
    cases=lambda seed: [(seed, 1, 4), (seed, 5, 4), (seed + 10, 7, 2)],
    call=_tiny,
    switches={
        "residual": {
            "attention": "There is no way around feed-forward: add to x, do not replace it.",
            "feed-forward": "There is no way around attention: add to x, do not replace it.",
            "none": "There is no way around a layer: add to x, do not replace it.",
            "parallel": "Feed-forward reads what came into the layer: attention adds to x first.",
        },
        "turn": {
            -1: "Queries and keys turn the other way.",
            0: "Queries and keys are not turned by their positions.",
        },
        "turned": {
            "queries": "Keys are not turned: turn them as the queries.",
            "keys": "Queries are not turned: turn them as the keys.",
            "all": "Values are turned too: only queries and keys have a position.",
        },
        "pairs": {"neighbors": "It pairs neighbors; here feature i goes with i + D/2."},
        "base": {b: f"The base is always {b:,.0f}: take `config.rope_base`." for b in (1e4, 1e5)},
        "norms": {
            "post": "This is post-norm: the norms stand before attention and feed-forward, not "
            "on the sums.",
            "final": "The last norm is missing, before the logits.",
            "attention": "Attention reads x as it is: normalize it first.",
            "feedforward": "Feed-forward reads x as it is: normalize it first.",
            "swapped": "The gains of a layer's two norms are swapped.",
        },
        "rows": {"q v k": "Values stand for keys: the rows are queries, keys, then values."},
        "heads": {
            "D H": "A head takes every H-th feature: it owns D neighbors.",
            "joined": "The heads are joined without bringing the tokens to the front: transpose.",
        },
        "embedded": {"scaled": "The embeddings are multiplied by √C: that is Gemma's."},
        "layers": {-1: "The last layer is left out."},
        "returned": {"last": "Only the last row is returned: all T are asked for."},
        **check_my_norm.switches, **check_my_attention.switches, **check_swiglu.switches,
        # what makes no difference here: x has two dimensions, and each query its key
        "over": {over: OVER_SENTENCES[over] for over in ("tokens", "all")},
        "mask": {m: text for m, text in check_my_attention.switches["mask"].items() if m != "left"},
    },
    probes=[
        Probe("It changes `weights`, which the next call reads again: work on copies.", (2, 1, 4),
              lambda e, g: isinstance(g, dict)),
        Probe("A text of one token: no mask, no position, one value to attend to.", (3, 1, 4)),
        Probe("Two tokens: the second attends to both, turned by its position.", (4, 2, 4)),
        Probe("Four query heads share two key heads: 0 and 1 the first, 2 and 3 the second.",
              (5, 3, 2)),
    ],
    result=as_smollm2,
    difficulty=3,
    minutes=45,
)  # fmt: skip
