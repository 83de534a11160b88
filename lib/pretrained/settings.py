"""What a config.json of Hugging Face says, as our configuration.

Whatever it says that this code does not know is an error that names it: a setting that is silently
ignored gives a model that is silently wrong.
"""

from lib.model import ModelConfig
from lib.pretrained.expert_kinds import READERS
from lib.settings import shortened

# Settings that do not change the logits of a forward pass in evaluation mode: names and labels,
# dropout and other matters of training, what to return, and how transformers is to run or generate.
HARMLESS = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _commit_hash _flash_attn_2_enabled
    _name_or_path _num_labels architectures attention_dropout attn_implementation attn_pdrop
    bad_words_ids begin_suppress_tokens bos_token_id cache_implementation
    chunk_size_feed_forward classifier_dropout cross_attention_hidden_size
    decoder_start_token_id diversity_penalty do_sample dtype early_stopping embd_pdrop
    embed_dropout encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing
    hidden_dropout id2label initializer_range is_decoder is_encoder_decoder is_llama_config
    keys_to_ignore_at_inference label2id length_penalty max_length max_sequence_length
    min_length model_type n_ctx no_repeat_ngram_size num_beam_groups num_beams
    num_return_sequences output_attentions output_hidden_states output_router_logits
    output_scores pad_token_id prefix pretraining_tp problem_type remove_invalid_values
    repetition_penalty resid_dropout resid_pdrop return_dict return_dict_in_generate
    router_aux_loss_coef router_jitter_noise sep_token_id summary_activation
    summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens
    task_specific_params temperature tf_legacy_loss tie_encoder_decoder tokenizer_class top_k
    top_p torch_dtype torchscript transformers.js_config transformers_version typical_p
    use_bfloat16 use_cache
    """.split()  # noqa: SIM905
)
# Settings for which this code has one behavior; any other value is an error.
ONE_VALUE = {
    "add_cross_attention": False,
    "final_logit_softcapping": None,
    "pruned_heads": {},
    "reorder_and_upcast_attn": False,
    "rope_interleaved": False,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "sliding_window": None,
    "use_bidirectional_attention": False,
    "use_mrope": False,
    "use_sliding_window": False,
}
# Kinds that may have windows, and with them a meaning for the settings above that name them.
WINDOWED = ("mistral", "mixtral", "qwen2", "qwen3", "smollm3", "gemma3_text", "gpt_oss")
# Settings that say why a folder cannot be read.
REASONS = {
    "quantization_config": "its weights are quantized; take the folder of the original weights",
    "quantization": "its weights are quantized (MLX); take the folder of the original weights",
    "auto_map": "it brings code of its own, which is never run here",
    "text_config": "it holds a model of images and text; take one of text alone",
}


def read_config(settings: dict) -> ModelConfig:
    """Our configuration for the contents of a config.json.

    Raises ValueError for a kind of model, a setting or a value that is not supported.
    """
    if not isinstance(settings, dict):
        raise ValueError(f"config.json must hold an object, got {shortened(settings)}")
    kind = settings.get("model_type")
    for key, reason in REASONS.items():
        if settings.get(key):
            raise ValueError(f"config.json of this {kind} model has {key!r}: {reason}")
    if not isinstance(kind, str) or kind not in READERS:
        known = ", ".join(READERS)
        raise ValueError(f"model_type must be one of {known}, got {shortened(kind)}")
    left = {
        key: value
        for key, value in settings.items()
        if key not in HARMLESS and key not in REASONS and not key.startswith("unsloth_")
    }
    if kind not in WINDOWED:
        left.pop("max_window_layers", None)  # of no meaning without windows
    for key, only in ONE_VALUE.items():
        if "sliding" in key and kind in WINDOWED:
            continue
        if key in left and left.pop(key) != only:
            raise ValueError(f"{key}={settings[key]!r} is not supported, only {only!r}")
    try:
        config = READERS[kind](left)
    except KeyError as error:
        raise ValueError(f"config.json of a {kind} model lacks {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"config.json of this {kind} model has a value of the wrong type ({error})"
        ) from error
    if left:
        names = ", ".join(f"{key}={shortened(value)}" for key, value in sorted(left.items()))
        raise ValueError(f"config.json has settings that are not supported: {names}")
    return config
