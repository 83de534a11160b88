"""Exercises of chapter 8: ranks through the logit lens, a head's score, mean ablation."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.layer_norm import random


def ranks(
    stream: Float[Tensor, "L C"],
    gain: Float[Tensor, " C"],
    eps: float,
    head: Float[Tensor, "V C"],
    token: int,
    *,
    scaled: str = "times",
    norm: str = "features",
    count: str = "greater",
    start: int = 1,
    layers: str = "all",
    of: str = "token",
) -> list[int | float]:
    """The rank of a token after each layer, by the last norm and the head; 1 is the first."""
    stream = stream.cumsum(dim=0) if norm == "summed" else stream
    stream = torch.cat([stream[:1], stream.diff(dim=0)]) if norm == "written" else stream
    head = head / head.norm(dim=1, keepdim=True) if of == "unit" else head
    over = 0 if norm == "layers" else -1
    normed = stream / (stream.square().mean(dim=over, keepdim=True) + eps).sqrt()
    normed = {
        "times": normed * gain, "none": normed, "twice": normed * gain**2, "plus": normed + gain,
        "one": normed * (1 + gain), "over": normed / gain, "size": normed * gain.abs(),
    }[scaled]  # fmt: skip
    logits = (normed @ head.T).abs() if of == "size" else normed @ head.T
    own = logits[:, [(token + 1) % len(head) if of == "next" else token]]
    own, others = own[-1:] if of == "last" else own, own.T if of == "layers" else logits
    beaten = {"greater": others > own, "less": others < own, "as great": others >= own}[count]
    order = logits.argsort(dim=-1, descending=True)
    found = {
        "logit": logits[:, token], "choice": order[:, 0], "order": order[:, token] + start,
    }.get(of, beaten.sum(dim=-1) + start).tolist()  # fmt: skip
    return {"all": found, "last": found[-1:], "backward": found[::-1], "but one": found[:-1]}[
        layers
    ]


def _streams(seed: int, layers: int, width: int, vocabulary: int, token: int) -> tuple:
    rows = random(seed, layers, width) * torch.logspace(-1.5, 1.5, layers)[:, None]
    gain = random(seed + 1, width)
    return rows, gain + 0.2 * gain.sign(), 0.1, random(seed + 2, vocabulary, width), token


def _close(seed: int) -> tuple:
    """Logits that differ by thousandths, or a little less: few digits do not tell them apart."""
    stream, gain, eps, head, token = _streams(seed, 3, 6, 12, 5)
    return stream, gain, eps, head[:1] + 2e-3 * head, token


check_ranks = Exercise(
    title="Ranks through the lens",
    reference=ranks,
    cases=lambda seed: [
        _streams(seed, 3, 2, 4, 1), _streams(seed + 10, 6, 5, 12, 0),
        _streams(seed + 20, 5, 4, 9, 8), _streams(seed + 30, 8, 6, 30, 17),
    ],
    switches={
        "scaled": {
            "none": "The gain is missing.",
            "twice": "The gain is multiplied twice.",
            "plus": "The gain is added; it multiplies.",
            "one": "The gain is taken for 1 + gain, as in Gemma.",
            "over": "It divides by the gain; the gain multiplies.",
            "size": "The gain's sign is lost.",
        },
        "norm": {
            "written": "It reads what each layer adds; the stream is the sum up to there.",
            "layers": "The mean square runs over layers; each layer has its own, over features.",
            "summed": "The rows are summed over layers; the stream already is that sum.",
        },
        "count": {
            "less": "It counts the tokens that score less.",
            "as great": "It counts tokens that score as much: the token itself is one.",
        },
        "start": {0: "Ranks count from 0; the first choice has rank 1."},
        "layers": {
            "last": "Only the last layer is there.",
            "backward": "The layers come in reversed order.",
            "but one": "The last layer is missing.",
        },
        "of": {
            "next": "It is the rank of the token after `token`.",
            "logit": "These are the token's logits, not its ranks.",
            "choice": "These are the layers' first choices, not the token's ranks.",
            "order": "It is the token at place `token` of the order, not the place of the token.",
            "last": "All layers are held against the token's logit after the last.",
            "layers": "It ranks the layers among themselves, not the tokens in each.",
            "size": "It compares the logits without their signs.",
            "unit": "The rows of `head` are made 1 long: take them as they are.",
        },
    },
    probes=[
        Probe("Logits that lie close change places: it loses digits.", _close(40), alone=True),
    ],
    difficulty=1,
    minutes=8,
)  # fmt: skip


def previous_token_score(
    weights: Float[Tensor, "H T T"],
    *,
    back: int = 1,
    over: str = "mean",
    heads: str = "each",
    what: str = "weight",
) -> Tensor:
    """How much each head looks at the token before, on average over the positions that have one."""
    positions = weights.shape[1]
    if what == "first":
        seen = weights[:, 1:, 0]
    elif what == "largest":
        before = torch.arange(positions - 1)
        seen = (weights[:, 1:].argmax(dim=-1) == before).to(weights.dtype)
    elif what == "earlier":
        seen = weights.tril(-1).sum(dim=-1)[:, 1:]
    else:
        seen = weights.diagonal(-back, *((0, 1) if what == "heads" else (1, 2)))
    if heads != "each":
        return seen.mean() if heads == "together" else seen.mean(dim=0)
    return {
        "mean": lambda: seen.mean(dim=-1), "sum": lambda: seen.sum(dim=-1),
        "all": lambda: seen.sum(dim=-1) / positions, "positions": lambda: seen,
        "most": lambda: seen.amax(dim=-1), "least": lambda: seen.amin(dim=-1),
        "median": lambda: seen.median(dim=-1).values, "last": lambda: seen[:, -1],
        "but first": lambda: seen[:, 1:].mean(dim=-1),
        "but last": lambda: seen[:, :-1].mean(dim=-1),
    }[over]()  # fmt: skip


def _weights(seed: int, heads: int, positions: int) -> tuple:
    scores = 2 * random(seed, heads, positions, positions)
    hidden = torch.ones(positions, positions).triu(1).bool()
    return (scores.masked_fill(hidden, -torch.inf).softmax(dim=-1),)


check_previous_token_score = Exercise(
    title="The score of a previous-token head",
    reference=previous_token_score,
    cases=lambda seed: [
        _weights(seed, 2, 3), _weights(seed + 10, 1, 5), _weights(seed + 20, 4, 7),
        _weights(seed + 30, 3, 4),
    ],
    switches={
        "back": {
            0: "It reads the diagonal: how much each token looks at itself.",
            -1: "It reads above the diagonal, where a causal head has zeros.",
            2: "It reads two tokens back.",
        },
        "over": {
            "sum": "The weights are added up, not averaged.",
            "all": "It is divided by T; the first token has none before it, so T - 1 count.",
            "positions": "There is a number for each position; average them for each head.",
            "most": "It takes the largest weight, not the mean.",
            "least": "It takes the smallest weight, not the mean.",
            "median": "It takes the median, not the mean.",
            "last": "Only the last position is read.",
            "but first": "Position 1 is left out; it has a token before it.",
            "but last": "The last position is left out.",
        },
        "heads": {
            "together": "The heads are averaged together; each has its own score.",
            "mixed": "The mean runs over heads; it is to run over positions, for each head.",
        },
        "what": {
            "first": "It reads the first token's column: that is the score of a sink.",
            "largest": "It counts how often that weight is the largest, not how large it is.",
            "earlier": "It adds up the weight on all earlier tokens; one of them is meant.",
            "heads": "The diagonal runs over heads and queries, not over queries and keys.",
        },
    },
    difficulty=1,
    minutes=5,
)  # fmt: skip


def mean_ablation(
    outputs: Float[Tensor, "H T D"],
    gone: list[int],
    reference: Float[Tensor, "H N D"],
    *,
    value: str = "mean",
    which: str = "gone",
    where: str = "all",
) -> Tensor:
    """`outputs` where the heads in `gone` say at each position what they say on average."""
    changed = outputs.clone()
    others = [h for h in range(len(outputs)) if h not in gone]
    if which == "dropped":
        return outputs[others]
    heads = {
        "gone": gone, "others": others, "all": range(len(outputs)), "first": gone[:1],
        "as many": range(len(gone)), "span": range(min(gone, default=0), max(gone, default=-1) + 1),
    }[which]  # fmt: skip
    for h in heads:
        said = {
            "mean": reference[h].mean(dim=0), "zero": torch.zeros_like(reference[h, 0]),
            "own": outputs[h].mean(dim=0), "heads": reference.mean(dim=(0, 1)),
            "number": reference[h].mean().expand(reference.shape[-1]), "start": reference[h, 0],
            "end": reference[h, -1], "sum": reference[h].sum(dim=0),
            "median": reference[h].median(dim=0).values, "shared": reference[gone].mean(dim=(0, 1)),
            "place": reference[list(heads).index(h)].mean(dim=0),
            "sorted": reference[gone[sorted(gone).index(h)] if h in gone else h].mean(dim=0),
            "one": reference[gone[0] if gone else h].mean(dim=0),
            "T": reference[h].sum(dim=0) / outputs.shape[1],
            "as many": reference[h, : outputs.shape[1]].mean(dim=0),
            "but last": reference[h, :-1].mean(dim=0), "but first": reference[h, 1:].mean(dim=0),
            "both": torch.cat([outputs[h], reference[h]]).mean(dim=0),
        }  # fmt: skip
        if value == "minus":
            made = outputs[h] - said["mean"]
        elif value == "plus":
            made = outputs[h] + said["mean"]
        else:
            made = said[value].expand_as(outputs[h])
        place = {
            "all": slice(None), "last": slice(-1, None), "first": slice(0, 1),
            "but first": slice(1, None), "but last": slice(0, -1),
        }[where]  # fmt: skip
        changed[h, place] = made[place]
    return changed


def _outputs(seed: int, heads: int, positions: int, width: int, gone: list[int], n: int) -> tuple:
    return random(seed, heads, positions, width), gone, random(seed + 1, heads, n, width, shift=1.0)


check_mean_ablation = Exercise(
    title="Mean ablation",
    reference=mean_ablation,
    cases=lambda seed: [
        _outputs(seed, 3, 3, 2, [1], 4), _outputs(seed + 10, 4, 5, 3, [0, 3], 6),
        _outputs(seed + 20, 2, 3, 4, [], 5), _outputs(seed + 30, 5, 4, 2, [2, 1, 4], 3),
    ],
    switches={
        "value": {
            "zero": "The heads are set to zero: that is zero ablation.",
            "own": "It is the mean of the outputs themselves, not of `reference`.",
            "heads": "The mean runs over all heads; each head has its own.",
            "number": "The mean runs over features too; each feature has its own.",
            "start": "It is the reference's first position, not the mean of all.",
            "end": "It is the reference's last position, not the mean of all.",
            "sum": "The reference is added up, not averaged.",
            "median": "It is the median, not the mean.",
            "shared": "All heads of `gone` get one mean; each has its own.",
            "place": "It takes heads of `reference` by their place in `gone`, not by their number.",
            "sorted": "It sorts `gone` at one place and not at the other: heads get others' means.",
            "one": "All heads of `gone` get the mean of its first; each has its own.",
            "T": "The sum over `reference` is divided by T; it has N positions.",
            "as many": "It takes only the first T positions of `reference`: take all N.",
            "but last": "The last position of `reference` is left out of the mean.",
            "but first": "The first position of `reference` is left out of the mean.",
            "both": "The mean runs over `outputs` too, not over `reference` alone.",
            "minus": "The mean is subtracted from what the head says; it replaces it.",
            "plus": "The mean is added to what the head says; it replaces it.",
        },
        "which": {
            "others": "The heads that are not in `gone` are replaced.",
            "all": "Every head is replaced; only those in `gone` are to be.",
            "first": "Only the first head of `gone` is replaced.",
            "as many": "It replaces the first heads, as many as `gone` has: take those it names.",
            "span": "It replaces all heads from the least of `gone` to the greatest.",
            "dropped": "The heads are left out; they are to be replaced, in the same shape.",
        },
        "where": {
            "last": "Only the last position is replaced.",
            "first": "Only the first position is replaced.",
            "but first": "The first position is left as it was; every one is to be replaced.",
            "but last": "The last position is left as it was; every one is to be replaced.",
        },
    },
    fresh=True,
    difficulty=2,
    minutes=8,
)  # fmt: skip
