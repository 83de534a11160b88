"""Say what values a setting may have: one sentence for every setting out of range."""

import math
import numbers
from typing import Any


def require(name: str, value: Any, interval: str, *, whole: bool = False) -> None:
    """Raise ValueError unless `value` is a number in `interval`, e.g. "(0, 1]" or "[1, inf)".

    With `whole`, it must be an integer too. The message names the setting, the range and the value.
    """
    low, high = (float(part) for part in interval[1:-1].split(","))
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, kind) and not isinstance(value, bool):
        above = value > low or (interval[0] == "[" and value == low)
        below = value < high or (interval[-1] == "]" and value == high)
        if above and below:  # NaN is neither
            return
    if low == -math.inf:
        words = "a finite number"
    elif high == math.inf:
        words = f"above {low:g}" if interval[0] == "(" else f"at least {low:g}"
    else:
        words = f"in {interval}"
    raise ValueError(f"{name} must be {'an integer ' if whole else ''}{words}, got {value!r}")
