"""What a test asks of a widget in a page: where Tab stops, names, contrast, the time of a key."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROBE = Path(__file__).with_name("page_probe.js").read_text(encoding="utf-8")
PLAY = ".widget-play"  # ipywidgets' play, stop and repeat have pictures and no names
READOUT = "[contenteditable=true]"  # the number beside a slider, which can be typed over


@dataclass(frozen=True)
class Stop:
    """A place where Tab stops."""

    name: str
    kind: str  # "slider", "checkbox", "select", "text", "button", "play" or "readout"
    element: Any


def install(page: Any) -> None:
    """Puts the probe into a page; it is lost when the page is left."""
    page.evaluate(PROBE)


def stops(page: Any, root: Any) -> list[Stop]:
    """Where Tab stops in a widget, in the order of the document."""
    handles = page.evaluate_handle("root => probe.stops(root)", root)
    elements = [handle.as_element() for handle in handles.get_properties().values()]
    return [Stop(page.evaluate("e => probe.nameOf(e)", e), _kind(e), e) for e in elements if e]


def _kind(element: Any) -> str:
    return element.evaluate(
        """(e, [play, readout]) => {
          if (e.closest(play) && e.matches("button")) return "play";
          if (e.matches(readout)) return "readout";
          if (e.getAttribute("role") === "slider" || e.type === "range") return "slider";
          if (e.type === "checkbox") return "checkbox";
          if (e.matches("input, textarea")) return "text";
          return e.tagName.toLowerCase();
        }""",
        [PLAY, READOUT],
    )


def key_for(stop: Stop) -> str:
    """The key that moves a control: away from the end where it may stand."""
    at_end = stop.element.evaluate(
        """e => e.tagName === "SELECT" ? e.selectedIndex === e.options.length - 1
          : e.type === "range" ? e.value === e.max
          : e.getAttribute("aria-valuenow") === e.getAttribute("aria-valuemax")"""
    )
    keys = {
        "slider": ("ArrowRight", "ArrowLeft"),
        "select": ("ArrowDown", "ArrowUp"),
        "checkbox": ("Space", "Space"),
        "button": ("Enter", "Enter"),
    }
    return keys[stop.kind][at_end and stop.kind in ("slider", "select")]


def press(page: Any, stop: Stop) -> None:
    """Moves a control by keyboard alone."""
    stop.element.focus()
    if stop.kind == "text":
        page.keyboard.press("Control+End")
        page.keyboard.type(" a")
        page.keyboard.press("Tab")
    elif stop.kind == "select":  # closed, its arrow keys would move JupyterLab to another cell
        page.keyboard.press("Space")
        page.keyboard.press(key_for(stop))
        page.keyboard.press("Enter")
    else:
        page.keyboard.press(key_for(stop))


def shown(page: Any, root: Any) -> tuple[str, str]:
    """(picture, everything else that a reader sees in the widget)."""
    return tuple(
        page.evaluate(
            """root => [probe.pictureOf(root), [
              root.innerText,
              ...[...root.querySelectorAll("input, select, textarea")].map(
                e => e.type === "checkbox" ? e.checked : e.value),
              ...[...root.querySelectorAll("[aria-valuenow]")].map(e => e.ariaValueNow),
            ].join("\\n")]""",
            root,
        )
    )


def wait_for_change(page: Any, root: Any, before: tuple[str, str], seconds: float = 3) -> bool:
    """True once the picture is another; False if it is still the same after some seconds."""
    for _ in range(round(seconds * 20)):
        if shown(page, root)[0] != before[0]:
            return True
        page.wait_for_timeout(50)
    return False


def time_keys(page: Any, root: Any, stop: Stop, presses: int) -> list[float]:
    """Milliseconds from key press to a frame with a new picture, there and back."""
    stop.element.focus()
    first = key_for(stop)
    back = {"ArrowRight": "ArrowLeft", "ArrowLeft": "ArrowRight"}[first]
    times = []
    for i in range(presses):
        pending = page.evaluate_handle("root => ({done: probe.timeKey(root)})", root)
        page.keyboard.press(back if i % 2 else first)
        took = pending.evaluate("p => p.done")
        if took is not None:
            times.append(took)
    return times


def time_clicks(page: Any, picture: Any, kind: str, clicks: int) -> list[float | None]:
    """Milliseconds from a click on a spot that is not chosen to a frame with a new picture."""
    return [
        page.evaluate("([e, kind]) => probe.timeClick(e, kind)", [picture, kind])
        for _ in range(clicks)
    ]


def time_hovers(page: Any, picture: Any, hovers: int = 6) -> list[float]:
    """Milliseconds from the pointer's coming to a frame with what it reveals; [] for nothing."""
    times = [page.evaluate("e => probe.timeHover(e)", picture) for _ in range(hovers)]
    return [t for t in times if t is not None]


def summary(times: list[float]) -> dict[str, float]:
    """Median and ninetieth percentile, in milliseconds; of one time, that one."""
    several = times if len(times) > 1 else 2 * times  # quantiles are of at least two
    p90 = statistics.quantiles(several, n=10, method="inclusive")[-1]
    return {
        "median_ms": round(statistics.median(times), 1),
        "p90_ms": round(p90, 1),
        "presses": len(times),
    }
