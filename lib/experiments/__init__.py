"""Floor 4: the experiments of the chapters, one a module, and their committed tables.

A module says what varies and has `run()`, which makes its table again, `table()`, which reads the
committed one, and most have `figure()`. `python -m lib.experiments NAME` runs them.
"""

from lib.experiments.tables import curve, read_table

__all__ = ["curve", "read_table"]
