"""Points to fit: checked before any work is done."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lib.settings import shortened

Number = float | int | np.number
Numbers = Sequence[Number] | np.ndarray
Quantity = Number | np.ndarray  # one number, or many at once
Point = tuple[Number, Number]


def positive_points(least: int, **columns: Numbers) -> list[Float[np.ndarray, " n"]]:
    """The columns as arrays of float64, equally long, of positive finite numbers.

    Raises ValueError that names the column, if they are not, or if there are fewer than `least`.
    """
    arrays = {name: as_numbers(name, column) for name, column in columns.items()}
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


def as_numbers(name: str, values: Quantity | Numbers) -> np.ndarray:
    """The values as float64. Raises ValueError for what holds no numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "iuf" or array.dtype == object:
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        array = None
    raise ValueError(f"{name} must hold numbers, got {shortened(values)}")


def logarithms(first: Point, second: Point, floor: Number) -> np.ndarray:
    """ln x and ln(y - floor) of two points, as two rows; ValueError where there is none."""
    (x_1, y_1), (x_2, y_2) = first, second
    if not (x_1 > 0 and x_2 > 0 and x_1 != x_2):
        raise ValueError(f"two different x above 0 are needed, got {x_1} and {x_2}")
    if not (y_1 > floor and y_2 > floor):
        raise ValueError(f"both y must be above the floor {floor}, got {y_1} and {y_2}")
    return np.log([[x_1, x_2], [y_1 - floor, y_2 - floor]])
