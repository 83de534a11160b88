"""Writes old_transformers.json: what transformers 4.49 gives for strategies that 5 has dropped.

Group beam search, contrastive search and DoLa left transformers' core with version 5. Their values
come from the last but few release that had them, in an environment of its own::

    python3.11 -m venv old && old/bin/pip install "transformers==4.49.0" torch
    old/bin/python tests/generation/references/make_references.py

The small random model is not stored: its weights are sines of their indices, which both sides
compute (`fill`). Run from the repository's root.
"""

import json
from pathlib import Path

import torch

SMALL = dict(
    vocab_size=97,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
PATH = Path(__file__).with_name("old_transformers.json")
N_NEW = 12


def fill(model: torch.nn.Module) -> None:
    """Give every weight a value that depends only on its name's place and its index."""
    with torch.no_grad():
        for place, (_, weight) in enumerate(sorted(model.named_parameters())):
            index = torch.arange(weight.numel(), dtype=torch.float64)
            wave = torch.sin(index * (1.37 + 0.1 * place) + 0.3 * index * index % 7.0 + place)
            scale, center = (0.3, 1.0) if weight.dim() == 1 else (0.25, 0.0)
            weight.copy_((center + scale * wave).reshape(weight.shape).to(weight.dtype))


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Six prompts of eight tokens; two are shorter and padded on the left."""
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(1, 97, (6, 8), generator=generator)
    mask = torch.ones(6, 8, dtype=torch.long)
    mask[1, :3], mask[4, :1] = 0, 0
    return ids, mask


GROUPS = [
    dict(num_beams=4, num_beam_groups=2, diversity_penalty=0.5),
    dict(num_beams=6, num_beam_groups=3, diversity_penalty=2.0, length_penalty=0.0),
    dict(num_beams=4, num_beam_groups=4, diversity_penalty=1.0, length_penalty=2.0),
    dict(num_beams=4, num_beam_groups=2, diversity_penalty=0.7, repetition_penalty=1.3),
]
STOPPING = dict(num_beams=4, num_beam_groups=2, diversity_penalty=0.5, early_stopping=True)
CONTRASTIVE = [
    dict(penalty_alpha=0.6, top_k=4),
    dict(penalty_alpha=0.3, top_k=8),
    dict(penalty_alpha=0.9, top_k=3),
    dict(penalty_alpha=0.5, top_k=4, repetition_penalty=1.2),
]
# 4.49 lets padding count as text in the repetition penalty: there only prompts without padding.
FULL = [0, 2, 3, 5]
DOLA = ["low", "high", [2], [1, 3, 5]]


def main() -> None:
    import transformers

    ids, mask = prompts()
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SMALL, tie_word_embeddings=False)
    ).eval()
    fill(model)
    common = dict(max_new_tokens=N_NEW, do_sample=False, pad_token_id=0, eos_token_id=None)
    scored = dict(num_return_sequences=2, return_dict_in_generate=True, output_scores=True)
    out: dict = {"transformers": transformers.__version__, "groups": [], "contrastive": []}
    for setting in GROUPS:
        rows = FULL if "repetition_penalty" in setting else list(range(6))
        found = model.generate(ids[rows], attention_mask=mask[rows], **common, **scored, **setting)
        out["groups"].append({
            "setting": setting, "rows": rows, "sequences": found.sequences.tolist(),
            "scores": found.sequences_scores.tolist(),
        })  # fmt: skip
    # One prompt at a time: 4.49 lets the padding of a finished prompt count as a taken token.
    out["stopping"] = []
    for row, keep in zip(ids, mask.bool(), strict=True):
        for eos in (20, 61, 80):
            found = model.generate(
                row[keep][None], **(common | {"eos_token_id": eos}), **scored, **STOPPING
            )
            out["stopping"].append({
                "prompt": row[keep].tolist(), "eos_token_id": eos,
                "sequences": found.sequences.tolist(), "scores": found.sequences_scores.tolist(),
            })  # fmt: skip
    for setting in CONTRASTIVE:
        rows = FULL if "repetition_penalty" in setting else list(range(6))
        found = model.generate(ids[rows], attention_mask=mask[rows], **common, **setting)
        out["contrastive"].append({"setting": setting, "rows": rows, "sequences": found.tolist()})
    out["dola"] = []
    for layers in DOLA:  # one prompt at a time: 4.49 chooses one layer for a whole batch
        rows = [
            model.generate(row[keep][None], **common, dola_layers=layers)[0].tolist()
            for row, keep in zip(ids, mask.bool(), strict=True)
        ]
        out["dola"].append({"layers": layers, "sequences": rows})
    PATH.write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
