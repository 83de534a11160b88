"""Points to fit: checked before any work is done."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Number = float | int | np.number
Numbers = Sequence[Number] | np.ndarray
Quantity = Number | np.ndarray  # one number, or many at once


def positive_points(least: int, **columns: Numbers) -> list[Float[np.ndarray, " n"]]:
    """The columns as arrays of float64, equally long, of positive finite numbers.

    Raises ValueError that names the column, if they are not, or if there are fewer than `least`.
    """
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    first, length = next((name, len(np.atleast_1d(a))) for name, a in arrays.items())
    for name, array in arrays.items():
        if array.ndim != 1 or len(array) != length:
            raise ValueError(
                f"{name} must be one row of {length} numbers like {first}, "
                f"got an array of shape {array.shape}"
            )
        if bad := array[~(np.isfinite(array) & (array > 0))].tolist():
            raise ValueError(f"{name} must be positive and finite, got {bad[0]}")
    if length < least:
        raise ValueError(f"this law needs at least {least} points, got {length}")
    return list(arrays.values())
