"""Measurements against other libraries: `python -m tools.bench [NAME ...]`.

Each module of this folder, but for `measure` and `__main__`, has a function `run() -> list[Row]`.
"""
