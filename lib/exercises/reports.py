"""The report of a check: what it says, and how a notebook shows it."""

import re
from dataclasses import dataclass
from typing import Literal

from lib.display import publish


@dataclass(frozen=True)
class Report:
    """The result of a check: "open" (not answered), "wrong" or "right"."""

    status: Literal["open", "wrong", "right"]
    title: str
    message: str
    example: str = ""
    mistake: str | None = None  # what was done wrong, where it is more than a difference

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == "right"

    @property
    def heading(self) -> str:
        """What comes first, e.g. "Right: Scaled scores."."""
        words = {"open": "Not answered yet", "wrong": "Not yet", "right": "Right"}[self.status]
        return f"{words}: {self.title}{'' if self.title.endswith('?') else '.'}"

    def __str__(self) -> str:
        return f"{self.heading} {self.message}" + (f"\n\n{self.example}" if self.example else "")

    def show(self) -> None:
        """Show the report as the cell's output."""
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", self.example)), default=0))
        block = f"\n\n{fence}text\n{self.example}\n{fence}" if self.example else ""
        text = f"**{self.heading}** {markdown(self.message)}{block}"
        publish({"text/markdown": text, "text/plain": str(self)})


def markdown(message: str) -> str:
    """Keep `code` as it is; elsewhere escape what Markdown or HTML would read as more than text."""
    return "".join(
        part
        if part.startswith("`")
        else re.sub(r"[<>&*_$\[\]\\]", lambda m: f"&#{ord(m[0])};", part)
        for part in re.split(r"(`[^`]+`)", message)
    )
