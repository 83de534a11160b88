"""Capstone of chapter 8: the reader's own attribution finds the head that brings the capital."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import claim, show_table
from lib.exercises.capstones_parts import PROMPT, SMOLLM2
from lib.exercises.checking import Exercise, Probe
from lib.exercises.softmaxes import random
from lib.model import LanguageModel
from lib.model.inspection import head_writes, layer_steps, logit_attribution, without_heads
from lib.pretrained import load_pretrained


def attribution(
    outputs: Float[Tensor, "L H D"],
    matrices: Float[Tensor, "L H D C"],
    stream: Float[Tensor, "C"],
    gain: Float[Tensor, "C"],
    eps: float | int,
    towards: Float[Tensor, "C"],
    *,
    size: str = "rms",
    gained: str = "times",
    matrix: str = "own",
    result: str = "heads",
) -> Tensor:
    """What each head adds to a difference of logits, with the norm's size held fixed."""
    by_head = {
        "own": matrices, "first": matrices[:, :1].expand_as(matrices),
        "layer": matrices[:1].expand_as(matrices), "backward": matrices.flip(1),
    }[matrix]  # fmt: skip
    written = torch.einsum("lhd,lhdc->lhc", outputs, by_head)
    square = stream.square()
    divisor = {
        "rms": lambda: (square.mean() + eps).sqrt(), "none": lambda: torch.ones(()),
        "no root": lambda: square.mean() + eps, "no eps": lambda: square.mean().sqrt(),
        "sum": lambda: (square.sum() + eps).sqrt(),
        "outside": lambda: square.mean().sqrt() + eps,
        "times": lambda: 1 / (square.mean() + eps).sqrt(),
        "flat": lambda: stream.abs().mean() + eps,
        "own": lambda: (written.square().mean(-1, keepdim=True) + eps).sqrt(),
        "heads": lambda: (written.sum((0, 1)).square().mean() + eps).sqrt(),
    }[size]()  # fmt: skip
    weight = {
        "times": gain, "none": 1, "one": 1 + gain, "twice": gain**2, "over": 1 / gain,
        "size": gain.abs(),
    }[gained]  # fmt: skip
    found = written / divisor * weight @ towards
    return {
        "heads": lambda: found, "layers": lambda: found.sum(1), "all": lambda: found.sum(),
        "size": lambda: found.abs(), "softmax": lambda: found.flatten().softmax(0).view_as(found),
        "share": lambda: found / found.sum(), "turned": lambda: found.T,
        "running": lambda: found.cumsum(0), "unit": lambda: found / towards.norm(),
        "but last": lambda: torch.cat([found[:-1], torch.zeros_like(found[-1:])]),
        "best": lambda: torch.tensor(divmod(int(found.argmax()), found.shape[1])),
    }[result]()  # fmt: skip


def _parts(seed: int, layers: int, heads: int, d: int, width: int) -> tuple:
    gain = random(seed + 3, width)
    return (
        random(seed, layers, heads, d), random(seed + 1, layers, heads, d, width),
        3 * random(seed + 2, width), gain + 0.2 * gain.sign(), 0.3,
        random(seed + 4, width),
    )  # fmt: skip


def last_position(model: LanguageModel, ids: Tensor, right: int, wrong: int) -> tuple:
    """What `attribution` is given of a model that reads `ids`: its last position."""
    with torch.inference_mode():
        outputs = torch.stack([s.head_output[0, :, -1] for s in layer_steps(model, ids)])
        matrices = torch.stack([head_writes(model, i) for i in range(len(model.blocks))])
        towards = model.head.weight[right] - model.head.weight[wrong]
        stream, norm = model.residual_stream(ids)[-1, 0, -1], model.final_norm
    return outputs, matrices, stream, norm.weight.detach(), norm.eps, towards


def find_the_head(my_attribution: Callable) -> None:
    """Ask `my_attribution` for the heads that put Paris above London, then take each one out."""
    model, tokenizer = load_pretrained(SMOLLM2)
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    (paris,), (london,) = tokenizer.encode(" Paris"), tokenizer.encode(" London")

    @torch.inference_mode()
    def lead() -> float:
        logits = model(ids)[0, -1]
        return float(logits[paris] - logits[london])

    with torch.inference_mode():
        parts = torch.as_tensor(my_attribution(*last_position(model, ids, paris, london)))
    whole, rows = lead(), []
    ranked = [divmod(i, parts.shape[1]) for i in parts.flatten().argsort(descending=True).tolist()]
    for layer, head in [*ranked[:4], ranked[len(ranked) // 2], ranked[-1]]:
        with without_heads(model, [(layer, head)]):
            rows.append([f"{layer}.{head}", float(parts[layer, head]), whole - lead()])
    columns = ["head", "adds directly", "lost without it"]
    show_table(
        rows, columns, title=f"Paris over London, in logits: {whole:.1f} in all. Four heads that "
        "add most, the middle one and the last"
    )  # fmt: skip
    direction = torch.zeros(model.config.vocab_size)
    direction[paris], direction[london] = 1.0, -1.0
    expected = logit_attribution(model, ids, direction).heads
    claim(
        f"all {parts.numel()} numbers are those of the library's attribution",
        torch.allclose(parts, expected, rtol=1e-3, atol=1e-3),
    )
    claim("the head that adds most is head 4 of layer 23", ranked[0] == (23, 4))
    claim(
        "of these six the lead of Paris falls most without it",
        rows[0][2] == max(row[2] for row in rows),
    )


check_my_attribution = Exercise(
    title="Your attribution finds the head",
    reference=attribution,
    cases=lambda seed: [
        _parts(seed, 1, 2, 2, 3), _parts(seed + 10, 3, 2, 4, 5), _parts(seed + 20, 4, 3, 2, 6),
    ],
    switches={
        "size": {
            "none": "It is not divided by the norm's size: the root of (mean square + eps).",
            "no root": "It divides by the mean square: take its root.",
            "no eps": "eps is not used: add it to the mean square.",
            "outside": "eps is added to the root: it belongs inside, to the mean square.",
            "sum": "It divides by the root of the sum of squares: take their mean.",
            "times": "It multiplies by the norm's size: divide by it.",
            "flat": "It divides by the mean absolute value: take the root of the mean square.",
            "own": "Each head is divided by the size of what it writes itself: the size is that of "
            "`stream`, the same for all.",
            "heads": "It divides by the size of all heads together: the size is that of `stream`.",
        },
        "gained": {
            "none": "The gain is not used.",
            "one": "The gain is taken for 1 + gain, as in Gemma.",
            "twice": "The gain is multiplied twice.",
            "over": "It divides by the gain: the gain multiplies.",
            "size": "The gain's sign is lost.",
        },
        "matrix": {
            "first": "All heads of a layer use the first one's matrix.",
            "layer": "All layers use the first one's matrices.",
            "backward": "The heads' matrices are taken in reversed order.",
        },
        "result": {
            "layers": "The heads of a layer are added up: a number for each head is asked for.",
            "all": "All heads are added up: a number for each head is asked for.",
            "size": "The signs are lost: a head may speak against the right answer.",
            "softmax": "A softmax is taken: what each head adds is asked for, in logits.",
            "share": "These are shares of the sum: what each head adds is asked for, in logits.",
            "running": "Each layer holds what earlier ones add too.",
            "unit": "`towards` is made 1 long: take it as it is.",
            "but last": "The last layer is left at 0.",
            "turned": "Layers and heads are swapped: return (L, H).",
            "best": "This is the place of the largest: return the numbers of all heads.",
        },
    },
    probes=[
        Probe(
            "One head writes [3, 4] into a stream of size 1; with a gain of 1 and towards = [1, 0] "
            "it adds 3.",
            (torch.tensor([[[1.0]]]), torch.tensor([[[[3.0, 4.0]]]]), torch.ones(2), torch.ones(2),
             0.0, torch.tensor([1.0, 0.0])),
        ),
        Probe(
            "The stream of size 2 halves what the head adds.",
            (torch.tensor([[[1.0]]]), torch.tensor([[[[3.0, 4.0]]]]), 2 * torch.ones(2),
             torch.ones(2), 0.0, torch.tensor([1.0, 0.0])),
        ),
        Probe(
            "A gain of 3 for the first feature makes it three times as much.",
            (torch.tensor([[[1.0]]]), torch.tensor([[[[3.0, 4.0]]]]), torch.ones(2),
             torch.tensor([3.0, 1.0]), 0.0, torch.tensor([1.0, 0.0])),
        ),
    ],
    result=find_the_head,
    difficulty=2,
    minutes=20,
)  # fmt: skip
