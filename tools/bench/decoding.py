"""Decoding with SmolLM2, against transformers with the same weights: greedy, beams, speculation."""

import torch
import torch.nn.functional as F
import transformers

from lib.corpora import english
from lib.downloads import smollm2_path
from lib.generation import GenerationConfig, generate
from lib.generation.drafts import LookupDraft
from lib.generation.grammar import Grammar
from lib.generation.speculative import speculate
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.scaling.quantization import use_int8
from lib.tokenization import BPETokenizer
from tools.bench.measure import Row, compare, limit, seconds

COMMAND = "python -m tools.bench decoding"
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
    rows = [
        beam_row(model, reference, ids),
        speculative_row(model, reference, tokenizer),
        mask_row(tokenizer),
        schema_row(tokenizer),
    ]
    for name, budget in (("float32", 1.1), ("int8", 1.6)):
        if name == "int8":
            use_int8(model.to(torch.bfloat16))  # in place
        rows.append(
            compare(
                f"SmolLM2, greedy decoding of {N_TOKENS} tokens, one sequence, ours in {name}"
                + (", the same tokens" if name == "float32" else " weights"),
                lambda: generate(model, ids, config),
                theirs,
                "transformers generate, float32",
                budget=budget,
                command=COMMAND,
                amount=N_TOKENS,
                unit="tokens/s",
                repeats=5,
            )
        )
    rows.append(surprise_row(model, reference, tokenizer))
    return rows


@torch.inference_mode()
def surprise_row(
    model: LanguageModel, reference: transformers.PreTrainedModel, tokenizer: BPETokenizer
) -> Row:
    """What int8 weights cost in quality: mean surprise on 1,500 tokens, beside float32."""
    ids = torch.tensor([tokenizer.encode(english(20_000))[:1500]])
    ours, theirs = (
        F.cross_entropy(logits[0, :-1].float(), ids[0, 1:]).item()
        for logits in (model(ids), reference(ids).logits)
    )
    return limit(
        f"SmolLM2 with int8 weights, mean surprise on 1,500 tokens ({ours:.3f} nats) less that of "
        f"float32 ({theirs:.3f})",
        ours - theirs,
        "nats",
        budget=0.01,
        command=COMMAND,
    )


def beam_row(
    model: LanguageModel, reference: transformers.PreTrainedModel, ids: torch.Tensor
) -> Row:
    """Four beams: the same tokens, then the speeds."""
    n_tokens = 32
    config = GenerationConfig(max_new_tokens=n_tokens, num_beams=4)

    def theirs() -> torch.Tensor:
        return reference.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, num_beams=4,
            do_sample=False,
        )  # fmt: skip

    if not torch.equal(generate(model, ids, config).ids, theirs()):
        raise RuntimeError("the beams of ours and transformers differ; the speeds mean nothing")
    return compare(
        f"SmolLM2, beam search with 4 beams, {n_tokens} tokens, float32, the same tokens",
        lambda: generate(model, ids, config),
        theirs,
        "transformers generate",
        budget=1.0,
        command=COMMAND,
        amount=n_tokens,
        unit="tokens/s",
        repeats=3,
    )


def speculative_row(
    model: LanguageModel, reference: transformers.PreTrainedModel, tokenizer: BPETokenizer
) -> Row:
    """Prompt lookup on a text that repeats itself, both with at most four guesses."""
    n_tokens = 48
    verse = "The wheels on the bus go round and round, round and round, round and round.\n"
    ids = torch.tensor([tokenizer.encode(verse * 3)])
    config = GenerationConfig(max_new_tokens=n_tokens)

    def ours() -> torch.Tensor:
        return speculate(model, LookupDraft(model.config.vocab_size), ids, config, 4).ids

    def theirs() -> torch.Tensor:
        return reference.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, do_sample=False,
            prompt_lookup_num_tokens=4,
        )  # fmt: skip

    if not torch.equal(ours(), theirs()):
        raise RuntimeError("ours and transformers' guessed tokens differ")
    return compare(
        f"SmolLM2, speculative decoding by prompt lookup, {n_tokens} tokens, float32, the same "
        "tokens",
        ours,
        theirs,
        "transformers generate, prompt_lookup_num_tokens=4",
        budget=1.0,
        command=COMMAND,
        amount=n_tokens,
        unit="tokens/s",
        repeats=3,
    )


def mask_row(tokenizer: BPETokenizer) -> Row:
    """The masks of 20 steps through a JSON schema, none of them kept from before."""
    import llguidance

    person = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 60}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    grammar = Grammar.json_schema(person, tokenizer)
    ids = tokenizer.encode('{"name": "Ada Lovelace, the first to write a program", "age": 36}')[:20]
    special = tokenizer.special_tokens.values()

    class Wrapped:
        eos_token_id, bos_token_id = tokenizer.eos_id, None
        tokens = tuple(tokenizer.decode_bytes([i]) for i in range(tokenizer.vocab_size))
        special_token_ids = sorted(special)

        def __call__(self, text: bytes) -> list[int]:
            return tokenizer.encode(text.decode())

    peer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Wrapped()))
    rule = llguidance.LLMatcher.grammar_from_json_schema(person)

    def ours() -> None:
        grammar.forget()
        for place in range(len(ids)):
            grammar.allowed(grammar.state(tuple(ids[:place])), 1000, [tokenizer.eos_id])

    def theirs() -> None:
        matcher = llguidance.LLMatcher(peer, rule)
        for i in ids:
            matcher.compute_bitmask()
            matcher.consume_token(i)

    return compare(
        f"masks of {len(ids)} steps through a JSON schema, SmolLM2's 49,152 tokens",
        ours,
        theirs,
        "llguidance (Rust)",
        budget=30.0,
        command=COMMAND,
    )


def schema_row(tokenizer: BPETokenizer) -> Row:
    """From a schema of 40 strings, none of them required, to the first step's mask."""
    names = {f"field_{i}": {"type": "string"} for i in range(40)}
    schema = {"type": "object", "properties": names, "additionalProperties": False}

    def ours() -> None:
        grammar = Grammar.json_schema(schema, tokenizer)
        grammar.allowed(grammar.state(()), 1000, [tokenizer.eos_id])

    ours()
    return limit(
        "a JSON schema of 40 optional strings, to the first mask",
        min(seconds(ours) for _ in range(5)),
        "s",
        budget=1.0,
        command=COMMAND,
    )
