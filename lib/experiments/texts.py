"""The texts that models of the experiments learn from: English, and a mixture of three languages.

The mixture has English, code and numbers in turn, so that experts can divide it. Each language has
as many bytes as the others. The text changes from one to the next every `BLOCK` bytes, which is
several times the context, so that most sequences hold one language only.
"""

from functools import lru_cache

import numpy as np

from lib.corpora import arithmetic, code, english
from lib.settings import require
from lib.training.batches import split
from lib.training.tokens import byte_tokens

LANGUAGES = ("English", "code", "numbers")
BLOCK = 512


@lru_cache(maxsize=2)
def languages(n_bytes: int = 320_000) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Training and validation bytes of each language, of `n_bytes` in all of it."""
    texts = (english(n_bytes), code(n_bytes), arithmetic(n_bytes))
    return {name: split(byte_tokens(text)) for name, text in zip(LANGUAGES, texts, strict=True)}


def mixture(n_bytes: int = 320_000) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation bytes of all languages, in turn."""
    training, validation = zip(*languages(n_bytes).values(), strict=True)
    return in_turn(training), in_turn(validation)


def in_turn(texts: tuple[np.ndarray, ...], block: int = BLOCK) -> np.ndarray:
    """A block of the first text, one of the second, and so on, while all have whole blocks left.

    Raises ValueError if a text is shorter than a block.
    """
    shortest = min(map(len, texts))
    require("block", block, f"[1, {shortest}]", whole=True)
    n_blocks = shortest // block
    blocks = [text[: n_blocks * block].reshape(n_blocks, block) for text in texts]
    return np.stack(blocks, axis=1).reshape(-1)


PIECES = 40  # of a text that is not read whole


def spread(tokens: np.ndarray, n: int, pieces: int) -> np.ndarray:
    """`n` tokens in `pieces` pieces from places equally far apart, the first at the beginning."""
    cuts = np.linspace(0, n, pieces + 1).astype(int)
    starts = np.linspace(0, len(tokens) - (cuts[-1] - cuts[-2]), pieces).astype(int)
    parts = [tokens[a : a + k] for a, k in zip(starts, np.diff(cuts), strict=True)]
    return np.concatenate(parts)


# Training and validation bytes by the name of a text.
TEXTS = {"english": lambda: split(byte_tokens(english())), "mixture": mixture}
