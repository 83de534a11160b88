"""Floor 2: from next-token distributions to text."""

from lib.generation.config import GenerationConfig
from lib.generation.decode import (
    Generation,
    generate,
    generate_steps,
    stream_text,
)

__all__ = ["Generation", "GenerationConfig", "generate", "generate_steps", "stream_text"]
