"""Greedy decoding of one sequence with SmolLM2, against transformers with the same weights."""

import torch
import transformers

from lib.downloads import smollm2_path
from lib.generation import GenerationConfig, generate
from lib.pretrained import load_pretrained
from tools.bench.measure import Row, compare

N_TOKENS = 64
PROMPT = "Once upon a time there was a lighthouse keeper who"


def run() -> list[Row]:
    """The weights of both come dequantized from one GGUF file; neither stops early."""
    transformers.utils.logging.disable_progress_bar()
    path = smollm2_path()
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    reference.generation_config.eos_token_id = None
    reference.generation_config.pad_token_id = 0
    model, tokenizer = load_pretrained("smollm2-135m-instruct")
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    config = GenerationConfig(max_new_tokens=N_TOKENS, do_sample=False)
    mask = torch.ones_like(ids)

    def theirs() -> torch.Tensor:
        return reference.generate(
            ids, attention_mask=mask, max_new_tokens=N_TOKENS, do_sample=False
        )

    if not torch.equal(generate(model, ids, config).ids, theirs()):
        raise RuntimeError("ours and transformers' greedy tokens differ; the speeds mean nothing")
    rows = []
    for dtype, budget in ((torch.float32, 1.5), (torch.bfloat16, 3.0)):
        model.to(dtype)  # in place
        name = str(dtype).removeprefix("torch.")
        rows.append(
            compare(
                f"SmolLM2, greedy decoding of {N_TOKENS} tokens, one sequence, ours in {name}"
                + (", the same tokens" if dtype == torch.float32 else ""),
                lambda: generate(model, ids, config),
                theirs,
                "transformers generate, float32",
                budget=budget,
                command="python -m tools.bench decoding",
                amount=N_TOKENS,
                unit="tokens/s",
                repeats=5,
            )
        )
    return rows
