"""The book's gallery of architectures: a table that sorts, and a picture of each model.

Everything on the page is computed from `lib.diagrams.gallery` when the book is built. A click on
the head of a column sorts by it; without scripts the table stands in order of size.
"""

import html
from pathlib import Path

from lib.diagrams.diagram import short
from lib.diagrams.gallery import GALLERY, table

NAME, TITLE = "gallery", "A gallery of architectures"
INTRO = """\
Fifteen models, by the settings that their makers published; each picture and each number is read \
off the model itself. [Chapter 6](06_transformer.ipynb#A-gallery-of-architectures) says what \
changes between them and shows any two side by side; `python -m lib.diagrams config.json` draws \
others. The cache is in 16 bits, while no window is full; FLOPs are those of a forward pass of one \
token with nothing cached. Click on the head of a column to sort by it."""
SCRIPT = """\
<script>
for (const button of document.querySelectorAll("#gallery button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = document.querySelector("#gallery tbody");
    const down = head.getAttribute("aria-sort") !== "descending";
    const sign = down ? -1 : 1;
    const value = (row) => row.cells[head.cellIndex].dataset.value;
    const compare = (a, b) => (isNaN(a) ? a.localeCompare(b) : a - b);
    const rows = [...body.rows].sort((a, b) => sign * compare(value(a), value(b)));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
</script>"""


def write(folder: Path) -> str:
    """Write the page and its pictures into the sources of the book; returns the page's name."""
    pictures = folder / "gallery"
    pictures.mkdir(exist_ok=True)
    parts = [f"# {TITLE}", INTRO, f"```{{raw}} html\n{_table()}\n{SCRIPT}\n```"]
    for entry in GALLERY.values():
        picture = entry.picture()
        file = f"{_file(entry.name)}.svg"
        (pictures / file).write_text(picture.svg(picture.alt), encoding="utf-8")
        note = f" Drawn is {entry.note}." if entry.note.startswith("the ") else ""
        note = f" Drawn {entry.note}." if entry.note.startswith("without") else note
        alt = picture.alt.replace("[", "(").replace("]", ")")
        parts.append(f"## {entry.name}")
        parts.append(f"{entry.year}; [its makers' own count]({entry.source}).{note}")
        parts.append(f"![{alt}](gallery/{file})")
    (folder / f"{NAME}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return NAME


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())


def _table() -> str:
    rows = table("parameters")
    heads = "".join(f'<th><button type="button">{name}</button></th>' for name in rows[0])
    lines = []
    for row in rows:
        cells = [
            f'<td data-value="{html.escape(str(value))}">{html.escape(_text(value))}</td>'
            for value in row.values()
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="table-wrapper container"><table id="gallery"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _text(value: str | int) -> str:
    return value if isinstance(value, str) else short(value) if value > 10**7 else f"{value:,}"
