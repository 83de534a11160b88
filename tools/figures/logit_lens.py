"""The README's figure: when a model that is asked for a capital comes to think of Paris."""

import torch
from matplotlib import pyplot as plt

from lib.display import PALETTE, save_figure, use_course_style
from lib.pretrained import load_pretrained

SENTENCE, ANSWER = "The capital of France is", " Paris"
LAYER, HEAD = 23, 4  # counted from 0


def draw() -> None:
    use_course_style()
    model, tokenizer = load_pretrained("smollm2-135m-instruct")
    pieces = [tokenizer.decode([i]) for i in tokenizer.encode(SENTENCE)]
    ids = torch.tensor([tokenizer.encode(SENTENCE)])
    (answer,) = tokenizer.encode(ANSWER)
    weights = model.attention_steps(ids, LAYER).weights[0, HEAD, -1]
    with torch.inference_mode():
        lens = model.unembed(model.residual_stream(ids)[:, 0, -1]).softmax(dim=-1)
    rank = (lens > lens[:, [answer]]).sum(dim=-1) + 1

    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=(2, 3))
    bars = left.barh(range(len(pieces)), weights, color=PALETTE["blue"])
    left.bar_label(bars, fmt="%.2f", padding=3)
    left.set_yticks(range(len(pieces)), [repr(piece) for piece in pieces])
    left.invert_yaxis()
    left.set(
        xlim=(0, 1.2),
        xlabel="attention weight from ' is'",
        title=f"Layer {LAYER}, head {HEAD} finds the country",
    )
    left.set_xticks([0, 0.5, 1])
    right.plot(rank, color=PALETTE["blue"], marker="o", markersize=4)
    right.set(
        yscale="log",
        xlabel="layers run",
        ylabel="rank of ' Paris' (1 = first choice)",
        title="and ' Paris' rises from thousands to one",
    )
    right.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    right.invert_yaxis()
    right.axvline(LAYER + 0.5, color=PALETTE["orange"], linestyle="--")
    right.annotate(f"layer {LAYER} runs", (LAYER + 0.2, 3), ha="right", color=PALETTE["black"])
    save_figure(
        fig,
        "figures/logit_lens.png",
        alt=(
            f"For the prompt '{SENTENCE}', two panels. Left: from the last token, one head of "
            "SmolLM2 puts nine tenths of its attention on France. Right: the rank of Paris among "
            "all tokens after each layer, in the thousands up to layer 23, then falling to 1."
        ),
        data={
            "sentence": SENTENCE,
            "tokens": pieces,
            "attention_weights": [round(w, 4) for w in weights.tolist()],
            "rank_by_layer": rank.tolist(),
            "probability_by_layer": [round(p, 6) for p in lens[:, answer].tolist()],
        },
    )
