"""A gallery of architectures: published models as data, from the settings in their config.json.

`GALLERY[name].config()` is the model's configuration, read by the same code that loads weights;
`table()` puts all of them side by side. Parameters are computed; a test holds each count to the one
that transformers gives for the same settings, and to the published one.
"""

from dataclasses import dataclass, field
from typing import Any

from lib.diagrams.architecture import architecture
from lib.diagrams.diagram import Diagram
from lib.diagrams.facts import facts
from lib.model import ModelConfig
from lib.pretrained.settings import read_config

COLUMNS = (
    "year",
    "parameters",
    "active",
    "without embeddings",
    "cache, bytes a token",
    "FLOPs a token",
    "context",
    "vocabulary",
)


@dataclass(frozen=True)
class Entry:
    """A published model: `settings` as in its config.json, and what its makers say of its size.

    `billions` is the published count and `source` where it stands; `active`, those that one token
    uses, which some count without the embedding's table. `note` says what is not part of it here.
    """

    name: str
    year: int
    settings: dict[str, Any] = field(hash=False)
    billions: float | int
    source: str
    active: float | int | None = None
    active_without_table: bool = False
    note: str = ""

    def config(self) -> ModelConfig:
        """The configuration, as `load_pretrained` would read it."""
        return read_config(dict(self.settings))

    def picture(self) -> Diagram:
        """The architecture with the model's name and year."""
        return architecture(self.config(), names=[f"{self.name} ({self.year})"])


def _settings(
    kind: str,
    vocabulary: int,
    context: int,
    width: int,
    layers: int,
    heads: int,
    inner: int,
    key_heads: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The sizes that all but GPT-2 call by the same names."""
    return {
        "model_type": kind,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "num_key_value_heads": key_heads or heads,
        **more,
    }


_HUB = "https://huggingface.co/"
_LLAMA_3 = dict(rope_theta=500_000.0, rms_norm_eps=1e-5)
_QWEN3 = dict(head_dim=128, rope_theta=1_000_000.0, rms_norm_eps=1e-6)
_GEMMA3 = dict(head_dim=256, rms_norm_eps=1e-6, query_pre_attn_scalar=256)
_LLAMA_32_ROPE = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_DEEPSEEK_ROPE = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
_GPT_OSS_ROPE = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}
_GPT2 = {"model_type": "gpt2", "vocab_size": 50_257, "n_positions": 1024}
_GPT2 |= {"n_embd": 768, "n_layer": 12, "n_head": 12}
_TEXT = "the text part alone; the published model reads images too"
_MTP = "without the extra layer that predicts the token after next in training"

_ENTRIES = (
    Entry("GPT-2", 2019, _GPT2, 0.124, "https://github.com/openai/gpt-2#some-caveats"),
    Entry(
        "Llama 3 8B",
        2024,
        _settings("llama", 128_256, 8192, 4096, 32, 32, 14_336, 8, **_LLAMA_3),
        8.03,
        _HUB + "meta-llama/Meta-Llama-3-8B",
    ),
    Entry(
        "Llama 3.2 1B",
        2024,
        _settings(
            "llama", 128_256, 131_072, 2048, 16, 32, 8192, 8,
            head_dim=64, tie_word_embeddings=True, rope_scaling=_LLAMA_32_ROPE, **_LLAMA_3,
        ),
        1.24,
        _HUB + "meta-llama/Llama-3.2-1B",
    ),
    Entry(
        "Mistral 7B",
        2023,
        _settings(
            "mistral", 32_000, 32_768, 4096, 32, 32, 14_336, 8,
            sliding_window=4096, rope_theta=10_000.0, rms_norm_eps=1e-5,
        ),
        7.24,
        _HUB + "mistralai/Mistral-7B-v0.1",
    ),
    Entry(
        "Mixtral 8x7B",
        2023,
        _settings(
            "mixtral", 32_000, 32_768, 4096, 32, 32, 14_336, 8,
            num_local_experts=8, num_experts_per_tok=2, rope_theta=1_000_000.0,
        ),
        46.7,
        "https://mistral.ai/news/mixtral-of-experts",
        active=12.9,
    ),
    Entry(
        "Qwen3 0.6B",
        2025,
        _settings(
            "qwen3", 151_936, 40_960, 1024, 28, 16, 3072, 8, tie_word_embeddings=True, **_QWEN3
        ),
        0.6,
        _HUB + "Qwen/Qwen3-0.6B",
    ),
    Entry(
        "Qwen3 8B",
        2025,
        _settings("qwen3", 151_936, 40_960, 4096, 36, 32, 12_288, 8, **_QWEN3),
        8.2,
        _HUB + "Qwen/Qwen3-8B",
    ),
    Entry(
        "Qwen3 30B-A3B",
        2025,
        _settings(
            "qwen3_moe", 151_936, 40_960, 2048, 48, 32, 6144, 4,
            num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768,
            norm_topk_prob=True, **_QWEN3,
        ),
        30.5,
        _HUB + "Qwen/Qwen3-30B-A3B",
        active=3.3,
    ),
    Entry(
        "Gemma 3 1B",
        2025,
        _settings(
            "gemma3_text", 262_144, 32_768, 1152, 26, 4, 6912, 1, sliding_window=512, **_GEMMA3
        ),
        1.0,
        "https://arxiv.org/abs/2503.19786",
    ),
    Entry(
        "Gemma 3 4B",
        2025,
        _settings(
            "gemma3_text", 262_208, 131_072, 2560, 34, 8, 10_240, 4, sliding_window=1024,
            rope_scaling={"rope_type": "linear", "factor": 8.0}, **_GEMMA3,
        ),
        3.88,
        "https://arxiv.org/abs/2503.19786",
        note=_TEXT,
    ),
    Entry(
        "OLMo 2 7B",
        2024,
        _settings(
            "olmo2", 100_352, 4096, 4096, 32, 32, 11_008, rope_theta=500_000.0, rms_norm_eps=1e-6
        ),
        7.3,
        _HUB + "allenai/OLMo-2-1124-7B",
    ),
    Entry(
        "SmolLM2 135M",
        2024,
        _settings(
            "llama", 49_152, 8192, 576, 30, 9, 1536, 3,
            tie_word_embeddings=True, rope_theta=100_000.0, rms_norm_eps=1e-5,
        ),
        0.135,
        _HUB + "HuggingFaceTB/SmolLM2-135M",
    ),
    Entry(
        "SmolLM3 3B",
        2025,
        _settings(
            "smollm3", 128_256, 65_536, 2048, 36, 16, 11_008, 4,
            rope_theta=5_000_000.0, rms_norm_eps=1e-6, no_rope_layer_interval=4,
        ),
        3.08,
        _HUB + "HuggingFaceTB/SmolLM3-3B",
    ),
    Entry(
        "DeepSeek-V3",
        2024,
        _settings(
            "deepseek_v3", 129_280, 163_840, 7168, 61, 128, 18_432,
            n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8,
            moe_intermediate_size=2048, first_k_dense_replace=3, n_group=8, topk_group=4,
            routed_scaling_factor=2.5, norm_topk_prob=True, kv_lora_rank=512, q_lora_rank=1536,
            qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128,
            rope_scaling=_DEEPSEEK_ROPE, rms_norm_eps=1e-6,
        ),
        671,
        "https://arxiv.org/abs/2412.19437",
        active=37,
        active_without_table=True,
        note=_MTP,
    ),
    Entry(
        "gpt-oss-20b",
        2025,
        _settings(
            "gpt_oss", 201_088, 131_072, 2880, 24, 64, 2880, 8,
            head_dim=64, num_local_experts=32, num_experts_per_tok=4, sliding_window=128,
            swiglu_limit=7.0, rope_theta=150_000.0, rope_scaling=_GPT_OSS_ROPE,
        ),
        20.91,
        "https://arxiv.org/abs/2508.10925",
        active=3.61,
        active_without_table=True,
    ),
)  # fmt: skip
GALLERY: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def table(sort_by: str = "year", *, descending: bool = False) -> list[dict[str, Any]]:
    """A row for each model, for `show_table`; `sort_by` is a column.

    Raises ValueError for another name.
    """
    if sort_by not in ("model", *COLUMNS):
        raise ValueError(
            f"sort_by must be one of {', '.join(('model', *COLUMNS))}, got {sort_by!r}"
        )
    rows = []
    for entry in GALLERY.values():
        numbers = facts(entry.config())
        rows.append(
            {
                "model": entry.name,
                "year": str(entry.year),
                "parameters": numbers.parameters,
                "active": numbers.active,
                "without embeddings": numbers.without_embeddings,
                "cache, bytes a token": numbers.cache,
                "FLOPs a token": numbers.flops,
                "context": numbers.context,
                "vocabulary": numbers.vocabulary,
            }
        )
    return sorted(rows, key=lambda row: row[sort_by], reverse=descending)


def side_by_side(first: str, second: str) -> Diagram:
    """Two models of the gallery beside each other, differences marked."""
    unknown = [name for name in (first, second) if name not in GALLERY]
    if unknown:
        raise ValueError(f"the gallery has {', '.join(GALLERY)}; not {unknown[0]!r}")
    one, two = GALLERY[first], GALLERY[second]
    return architecture(one.config(), two.config(), names=[first, second])
