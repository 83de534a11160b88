"""Put tensors that came from a file into a `LanguageModel`, with every mismatch named."""

import torch
from torch import Tensor

from lib.model import LanguageModel, ModelConfig


def build_model(config: ModelConfig, weights: dict[str, Tensor], source: str) -> LanguageModel:
    """A model of this shape that holds these tensors (not copies of them), ready for evaluation.

    Queries, keys and values may come as separate tensors; they are joined in `weights` layer by
    layer, so that memory never holds the model twice. Raises ValueError, naming `source` and the
    tensor, if one is missing, not part of the model, or of another shape.
    """
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
    model.load_state_dict(weights, assign=True)
    if config.tie_embeddings:
        model.head.weight = model.embedding.weight
    return model.eval()


def _merge_query_key_value(weights: dict[str, Tensor], prefix: str, kind: str) -> None:
    names = [f"{prefix}.{part}.{kind}" for part in ("query", "key", "value")]
    if all(name in weights for name in names):
        merged = torch.cat([weights.pop(name) for name in names])
        weights[f"{prefix}.query_key_value.{kind}"] = merged
