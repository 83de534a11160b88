"""Floor 1: the model, one idea a module."""

from lib.model.cache import KVCache
from lib.model.config import ModelConfig
from lib.model.rope_scaling import RopeScaling
from lib.model.transformer import LanguageModel

__all__ = ["KVCache", "LanguageModel", "ModelConfig", "RopeScaling"]
