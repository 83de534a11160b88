"""Put tensors that came from a file into a `LanguageModel`, with every mismatch named."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from lib.model import LanguageModel, ModelConfig
from lib.settings import shortened
from lib.tokenization import BPETokenizer


def check_dtype(dtype: torch.dtype) -> None:
    """Raise ValueError unless weights can be of this dtype."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize < 2:
        raise ValueError(f"dtype must be one like torch.float32, got {shortened(dtype)}")


def build_model(config: ModelConfig, weights: dict[str, Tensor], source: str) -> LanguageModel:
    """A model of this shape that holds these tensors (not copies of them), ready for evaluation.

    Queries, keys and values may come as separate tensors; they are joined in `weights` layer by
    layer, so that memory never holds the model twice. Where embeddings are tied and the tensors
    have another head, that one counts. Raises ValueError, naming `source` and the
    tensor, if one is missing, not part of the model, of another shape, or holds NaN.
    """
    check_counts(config, weights, source)
    table, head = weights.get("embedding.weight"), weights.get("head.weight")
    both = table is not None and head is not None
    if config.tie_embeddings and both and not torch.equal(head, table):
        config = config.replace(tie_embeddings=False)  # as transformers: the file's own head counts
    with torch.device("meta"):  # no memory for weights that are about to be replaced
        model = LanguageModel(config)
    for layer in range(config.n_layers):
        for kind in ("weight", "bias"):
            _merge_query_key_value(weights, f"blocks.{layer}.attention", kind)
    if config.tie_embeddings and "embedding.weight" in weights:
        weights["head.weight"] = weights["embedding.weight"]
    expected = model.state_dict()
    if missing := sorted(set(expected) - set(weights)):
        raise ValueError(f"{source} lacks {len(missing)} tensors, the first is {missing[0]}")
    for name, tensor in weights.items():
        if name not in expected:
            raise ValueError(f"{source} holds a tensor that this model has no place for: {name}")
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{source}: {name} has shape {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
        if not torch.stack(tensor.aminmax()).isfinite().all():  # no copy of a large tensor
            wrong = tensor.numel() - int(tensor.isfinite().sum())
            raise ValueError(
                f"{source}: {name} holds {wrong} values of {tensor.numel()} that are NaN or "
                f"infinite in {tensor.dtype}; the file is damaged, or its training had failed"
            )
    model.load_state_dict(weights, assign=True)
    if config.tie_embeddings:
        model.head.weight = model.embedding.weight
    return model.eval()


def check_counts(config: ModelConfig, names: dict[str, Tensor], source: str) -> None:
    """Raise ValueError if the tensors are of fewer layers or experts than the configuration says.

    Before the model is built, so that absurd numbers cost no time; the embedding's shape, too.
    """
    said = {"blocks": config.n_layers, "experts": config.n_experts or 0}
    found = dict.fromkeys(said, 0)
    for name in names:
        parts = name.split(".")
        for part, number in pairwise(parts):
            if part in found and number.isdigit():
                found[part] = max(found[part], int(number) + 1)
    for part, words in {"blocks": "layers", "experts": "experts"}.items():
        if found[part] < said[part]:
            raise ValueError(
                f"{source} holds weights of {found[part]} {words}, but its configuration says "
                f"{said[part]}"
            )
    table, shape = names.get("embedding.weight"), (config.vocab_size, config.d_model)
    if table is not None and tuple(table.shape) != shape:
        raise ValueError(
            f"{source}: embedding.weight has shape {tuple(table.shape)}, expected {shape}"
        )


def fitting_tokenizer(
    read: Callable[[], BPETokenizer], config: ModelConfig, source: str
) -> BPETokenizer:
    """What `read` returns. Raises ValueError, which says how to load the weights alone, if it
    cannot be read or has ids that the model has no embedding for.
    """
    alone = "the weights alone load with tokenizer=False"
    try:
        tokenizer = read()
    except Exception as error:
        raise ValueError(f"{source}: its tokenizer cannot be read: {error}; {alone}") from error
    largest = max(tokenizer.token_to_id.values(), default=-1)  # some ids may be unused
    if largest >= config.vocab_size:
        raise ValueError(
            f"{source}: its tokenizer has ids up to {largest}, but the model has embeddings for "
            f"{config.vocab_size} alone: they do not belong together; {alone}"
        )
    return tokenizer


def _merge_query_key_value(weights: dict[str, Tensor], prefix: str, kind: str) -> None:
    names = [f"{prefix}.{part}.{kind}" for part in ("query", "key", "value")]
    if all(name in weights for name in names):
        parts = [weights.pop(name) for name in names]
        if len({part.shape[1:] for part in parts}) > 1:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ValueError(f"{prefix}: query, key and value have shapes {shapes}")
        weights[f"{prefix}.query_key_value.{kind}"] = torch.cat(parts)
