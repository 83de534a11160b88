"""More controls: dropdown, toggle, text, button, and a list to put in order."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from lib.tokenization.pretokenization import check_text
from lib.widgets.controls import LABEL, WIDE, Act, Control, S, of_state, spaced


@dataclass(frozen=True)
class Dropdown(Control):
    """One of `options`: values, or pairs (text, value); may be a function of the State."""

    options: Any

    def pairs(self, state: S) -> list[tuple[str, Any]]:
        """Return (text, value) of each option."""
        options = of_state(self.options, state)
        pairs = [o if isinstance(o, tuple) and len(o) == 2 else (str(o), o) for o in options]
        if not pairs:
            raise ValueError(f"{self.label}: there is nothing to choose from")
        return pairs

    def _widget(self, state: S) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=self.pairs(state),
            value=getattr(state, self.field),
            description=self.label,
            style=LABEL,
            layout={"width": WIDE},
        )

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Set the options if they changed, then the value; of one option there is no choice."""
        pairs = self.pairs(state)
        widget.disabled = len(pairs) < 2
        if list(widget.options) != pairs:
            widget.options = pairs
        widget.value = getattr(state, self.field)

    def constrain(self, state: S) -> S:
        """Take the first option where the present value is none of them."""
        values = [value for _, value in self.pairs(state)]
        if getattr(state, self.field) in values:
            return state
        return dataclasses.replace(state, **{self.field: values[0]})

    def values(self, state: S, most: int) -> list[int]:
        """Return indices of options, as the browser sends them."""
        return spaced(range(len(self.pairs(state))), most)

    def send(self, widget: ipywidgets.Widget, value: int) -> None:
        """Choose an option."""
        widget.set_state({"index": value})

    def shown(self, state: S) -> str:
        """Return the chosen option's text."""
        value = getattr(state, self.field)
        return next(text for text, option in self.pairs(state) if option == value)


@dataclass(frozen=True)
class Toggle(Control):
    """On or off."""

    def _widget(self, state: S) -> ipywidgets.Widget:
        return ipywidgets.Checkbox(
            value=getattr(state, self.field),
            description=self.label,
            style=LABEL,
            layout={"width": WIDE},
        )

    def values(self, state: S, most: int) -> list[bool]:
        """Return both."""
        return [not getattr(state, self.field), getattr(state, self.field)]

    def shown(self, state: S) -> str:
        """Return "on" or "off"."""
        return "on" if getattr(state, self.field) else "off"


# What a reader may type: nothing, blanks, other scripts, joined emoji, markup, a formula's dollars.
TYPED = (
    "",
    " ",
    "a",
    "Hello, world!",
    "naïve 中文 👩‍👩‍👧 ‏עברית",
    "<b>&amp;</b>",
    "$x$ \\ %s {0}",
    "\x00\n\t",
)


@dataclass(frozen=True)
class TextInput(Control):
    """A text, sent when the reader presses Enter or leaves the box."""

    max_length: int = 200  # characters
    rows: int = 1
    examples: Sequence[str] = ()  # what a test should type besides TYPED
    cut: Callable[[Any], str] = lambda state: ""

    def _widget(self, state: S) -> ipywidgets.Widget:
        kind = ipywidgets.Text if self.rows == 1 else ipywidgets.Textarea
        more = {} if self.rows == 1 else {"rows": self.rows}
        return kind(
            value=getattr(state, self.field),
            description=self.label,
            continuous_update=False,
            style=LABEL,
            layout={"width": WIDE},
            **more,
        )

    def constrain(self, state: S) -> S:
        """Refuse what is too long: cutting it would show an answer to another text."""
        text = getattr(state, self.field)
        length = len(text)
        if length > self.max_length:
            raise ValueError(
                f"{self.label} takes at most {self.max_length} characters, got {length}"
            )
        check_text(text)
        return state

    def values(self, state: S, most: int) -> list[str]:
        """Return hard texts, the longest allowed among them."""
        return [
            text[: self.max_length]
            for text in (*self.examples, *TYPED, "long " * (self.max_length // 5 + 1))
        ]

    def note(self, state: S) -> str:
        """Return what it is, the limit, and what is cut."""
        return f"{super().note(state)} {self.cut(state)}".strip()

    def range(self, state: S) -> str:
        """Return the limit."""
        return f"up to {self.max_length} characters"

    def shown(self, state: S) -> str:
        """Return the text in quotation marks."""
        return f"“{getattr(state, self.field)}”".replace("\n", "↵")


@dataclass(frozen=True)
class Button(Control):
    """A button that does `action(state) -> state`. `field` only names it."""

    action: Callable[[Any], Any]

    def make(self, state: S, act: Act) -> ipywidgets.Widget:
        """Return the button."""
        button = ipywidgets.Button(description=self.label, tooltip=self.explain)
        button.on_click(lambda _: act(self.action))
        return button

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Nothing: a button has no value."""

    def values(self, state: S, most: int) -> list[str]:
        """Press it a few times."""
        return ["press"] * min(most, 5)

    def send(self, widget: ipywidgets.Widget, value: str) -> None:
        """Press."""
        widget.click()

    def shown(self, state: S) -> str:
        """Return nothing."""
        return ""


@dataclass(frozen=True)
class Reorder(Control):
    """A tuple that the reader puts in order, by two buttons at each item: earlier and later."""

    name: Callable[[Any], str] = str  # how an item is called

    def make(self, state: S, act: Act) -> ipywidgets.Widget:
        """Return a box for each place, side by side; the number of items is fixed."""
        rows = []
        for place in range(len(getattr(state, self.field))):
            buttons = [
                ipywidgets.Button(description=text, layout={"width": "48px"}) for text in "←→"
            ]
            for button, other in zip(buttons, (place - 1, place + 1), strict=True):
                button.on_click(
                    lambda _, a=place, b=other: act(lambda state: self._swap(state, a, b))
                )
            name = ipywidgets.Label(layout={"width": "108px"})
            layout = {"flex_flow": "row wrap", "width": "116px"}
            rows.append(ipywidgets.HBox([*buttons, name], layout=layout))
        title = ipywidgets.Label(self.label, layout={"flex": "1 0 100%"})
        box = ipywidgets.HBox([title, *rows], layout={"flex_flow": "row wrap"})
        self.write(box, state)
        return box

    def _swap(self, state: S, a: int, b: int) -> S:
        items = list(getattr(state, self.field))
        if not 0 <= b < len(items):
            return state
        items[a], items[b] = items[b], items[a]
        return dataclasses.replace(state, **{self.field: tuple(items)})

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Write the names in order; the ends cannot move further."""
        items = getattr(state, self.field)
        for place, (row, item) in enumerate(zip(widget.children[1:], items, strict=True)):
            up, down, label = row.children
            name = self.name(item)
            label.value = f"{place + 1}. {name}"
            up.tooltip, down.tooltip = f"move {name} to earlier", f"move {name} to later"
            up.disabled, down.disabled = place == 0, place == len(items) - 1

    def values(self, state: S, most: int) -> list[tuple[int, int]]:
        """Return (place, 0 for earlier or 1 for later): every button once."""
        return [(place, way) for place in range(len(getattr(state, self.field))) for way in (0, 1)]

    def send(self, widget: ipywidgets.Widget, value: tuple[int, int]) -> None:
        """Press."""
        place, way = value
        widget.children[1 + place].children[way].click()

    def shown(self, state: S) -> str:
        """Return the names in order."""
        return " → ".join(map(self.name, getattr(state, self.field)))
