"""Addresses of the first edition's chapters lead to the chapters that took over their subject."""

from pathlib import Path

MOVED = {
    "03_normalization": "04_normalization",
    "04_feedforward": "05_feedforward",
    "05_transformer": "06_transformer",
    "06_sampling": "09_sampling",
    "07_decoding": "10_decoding",
    "08_compute": "12_compute",
    "09_scaling_laws": "13_scaling_laws",
    "10_sft_cold_start": "14_sft_cold_start",
}
# Some sections went into a chapter of their own; their old page names it too.
ALSO = {"05_transformer": ("07_training",), "07_decoding": ("11_faster_decoding",)}
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={new}.html">
<link rel="canonical" href="{new}.html">
<title>{new}: moved</title>
<p>This chapter is now {links}.</p>
</html>
"""


def write_redirects(folder: Path) -> None:
    """Write a page for each old name. Raises FileExistsError where a chapter has that name now."""
    for old, new in MOVED.items():
        page = folder / f"{old}.html"
        if page.exists() and "http-equiv" not in page.read_text(encoding="utf-8"):
            raise FileExistsError(f"{page} is a page of the book: {old} cannot lead elsewhere")
        targets = (new, *ALSO.get(old, ()))
        links = " and ".join(f'<a href="{name}.html">{name}</a>' for name in targets)
        page.write_text(PAGE.format(new=new, links=links), encoding="utf-8")
