"""Floor 1: the model, one idea a module."""

from lib.model.cache import KVCache
from lib.model.config import ModelConfig
from lib.model.rope_scaling import Llama3Scaling
from lib.model.transformer import LanguageModel

RopeScaling = Llama3Scaling  # its name in the first edition

__all__ = ["KVCache", "LanguageModel", "Llama3Scaling", "ModelConfig", "RopeScaling"]
