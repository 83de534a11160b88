"""Floor 1: the model, one idea a module."""

from lib.model.cache import KVCache
from lib.model.config import ModelConfig, RopeScaling
from lib.model.transformer import LanguageModel

__all__ = ["KVCache", "LanguageModel", "ModelConfig", "RopeScaling"]
