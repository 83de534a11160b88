"""The widgets of every chapter in JupyterLab, moved by keyboard in a real browser.

Screenshots and the measured times go to build/browser: look at them. No time is asserted.
"""

import json
import re
from itertools import pairwise

import nbformat
import pytest

from tests.browser.conftest import SCREENSHOTS, TABLET, WIDE
from tests.browser.probing import (
    install,
    press,
    shown,
    stops,
    summary,
    time_clicks,
    time_hovers,
    time_keys,
    wait_for_change,
)
from tools.notebooks import names, notebook_path

WIDGET = ".course-explorer"
EXPLORER = re.compile(r"^(?:\w+ = )?\w+_explorer\(", re.MULTILINE)
PANEL = "window.jupyterapp?.shell?.currentWidget"
MOST_MINUTES = 20  # for a chapter; on a quiet machine the longest takes five
# In the kernel: has showing the widgets moved any of them?
UNMOVED = (
    "[e.state == e.initial for e in __import__('gc').get_objects() "
    "if type(e).__name__ == 'Explorer' and hasattr(e, 'initial')]"
)


def widgets_of(name):
    notebook = nbformat.read(notebook_path(name), as_version=4)
    return sum(
        bool(EXPLORER.search(cell.source)) for cell in notebook.cells if cell.cell_type == "code"
    )


CHAPTERS = [name for name in names() if notebook_path(name).exists() and widgets_of(name)]


def run_all(page, address):
    """Opens a chapter and runs all its cells."""
    page.goto(address)
    page.wait_for_function(f"() => {PANEL}?.sessionContext?.session?.kernel", timeout=120_000)
    page.wait_for_function(f"() => {PANEL}.sessionContext.isReady", timeout=120_000)
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    went_through = page.evaluate(
        """minutes => Promise.race([
          jupyterapp.commands.execute("notebook:run-all-cells"),
          new Promise(resolve => setTimeout(resolve, minutes * 60_000, null)),
        ])""",
        MOST_MINUTES,
    )
    assert went_through is not None, f"still running after {MOST_MINUTES} minutes"
    errors = page.query_selector_all("[data-mime-type='application/vnd.jupyter.error']")
    assert went_through, [error.inner_text()[-500:] for error in errors]


def bring(page, root):
    """Scrolls a widget into sight: JupyterLab lays cells out only when they are near the window."""
    seen = 0
    for _ in range(40):
        root.evaluate("e => e.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(250)
        top = root.evaluate("e => e.getBoundingClientRect().top")
        seen = seen + 1 if root.is_visible() and 0 <= top < 400 else 0
        if seen == 3:  # what lies above it is laid out too
            return
    raise AssertionError("the widget does not come into sight")


def ask_kernel(page, expression):
    """The value of an expression in the kernel, as text."""
    return page.evaluate(
        f"""async expression => {{
          const kernel = {PANEL}.sessionContext.session.kernel;
          const asked = kernel.requestExecute(
            {{code: "", silent: true, user_expressions: {{x: expression}}}});
          return (await asked.done).content.user_expressions.x.data["text/plain"];
        }}""",
        expression,
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_widgets_by_keyboard(name, page, lab, record):
    run_all(page, lab(name))
    install(page)
    page.wait_for_selector(WIDGET, state="attached")
    roots = [root for root in page.query_selector_all(WIDGET) if root.query_selector("button")]
    assert len(roots) == widgets_of(name), "one widget for each cell that makes one"
    assert "False" not in ask_kernel(page, UNMOVED), "showing a widget moved a control"
    for number, root in enumerate(roots):
        which = f"{name}-{number + 1}" if len(roots) > 1 else name
        bring(page, root)
        unfold(page, root)
        check_focus_order(page, root)
        check_look(page, root, which)
        check_moves(page, root, which, record)
        check_touch(page, root, which, record)
        check_tasks(page, root)
    check_dead(page, roots[-1], name)
    page.evaluate(f"() => {PANEL}.sessionContext.shutdown()")  # a gigabyte for the next chapter


def unfold(page, root):
    """Opens what is folded under More."""
    more = [stop for stop in stops(page, root) if stop.name.startswith("More (")]
    if more:
        more[0].element.click()
        page.wait_for_timeout(500)


def check_touch(page, root, which, record):
    """A click on each kind of spot shows another picture; a hover shows what is hidden."""
    reset = next(stop for stop in stops(page, root) if stop.name == "Reset")
    picture = root.query_selector(".course-picture")
    kinds = page.evaluate(
        "e => [...new Set([...e.querySelectorAll('[data-set]')].map("
        "p => Object.keys(JSON.parse(p.dataset.set)).join()))]",
        picture,
    )
    times = []
    for kind in kinds:
        spot = picture.evaluate_handle(
            """(e, kind) => [...e.querySelectorAll('[data-set]')].find(
              p => Object.keys(JSON.parse(p.dataset.set)).join() === kind
                && p.getAttribute('aria-pressed') === 'false')""",
            kind,
        ).as_element()
        if spot is None:  # all of them hold already
            continue
        before = shown(page, root)
        spot.click()
        assert wait_for_change(page, root, before), f"a click for {kind} shows nothing"
        times += [t for t in time_clicks(page, picture, kind, 6) if t]
        reset.element.click()
        page.wait_for_timeout(500)
    reveals = picture.query_selector("[data-reveal]")
    if reveals:
        reveals.hover()
        assert picture.query_selector("[data-revealed]:not([style*='display: none'])")
        record(f"{which}, hover", summary(time_hovers(page, picture)))
    if times:
        record(f"{which}, click", summary(times))


def check_tasks(page, root):
    """A guess is written, the button moves the widget, and the answer repeats the guess."""
    reset = next(stop for stop in stops(page, root) if stop.name == "Reset")
    for row in root.query_selector_all(".course-tasks > *"):
        button, before = row.query_selector("button"), shown(page, root)
        assert button.is_disabled(), "a guess comes first"
        row.query_selector("input").fill("all alike")
        page.wait_for_function("button => !button.disabled", arg=button)
        button.click()
        assert wait_for_change(page, root, before), "a task's button shows nothing"
        said = row.wait_for_selector("[role=status]").inner_text()
        assert said.startswith("You wrote: “all alike”.")
        reset.element.click()
        page.wait_for_timeout(500)


def check_dead(page, root, name):
    """After a restart of the kernel the widget says so and can no longer be touched."""
    page.evaluate(f"() => {PANEL}.sessionContext.session.kernel.restart()")
    page.wait_for_selector(".course-explorer.dead .dead-note", timeout=60_000)
    assert root.evaluate("e => getComputedStyle(e).pointerEvents") == "none"
    root.screenshot(path=SCREENSHOTS / f"{name}-dead.png")


def check_focus_order(page, root):
    """Tab goes through the picture, then all controls from top to bottom; each has a name."""
    places = stops(page, root)
    nameless = [place.kind for place in places if not place.name and place.kind != "play"]
    assert nameless == []
    places[0].element.focus()
    for place in places[1:]:
        page.keyboard.press("Tab")
        assert place.element.evaluate("e => e === document.activeElement"), place.name
    inside = "e => Boolean(e.closest('.course-picture'))"
    tops = [
        place.element.bounding_box()["y"]
        for place in places
        if place.kind != "readout"
        and not place.element.evaluate(inside)
        and not place.element.evaluate("e => Boolean(e.closest('.course-tasks'))")
    ]
    assert all(b > a - 20 for a, b in pairwise(tops)), "from top to bottom"


def check_look(page, root, which):
    """Nothing sticks out and nothing is faint, in a wide window and on a tablet."""
    for size in (WIDE, TABLET):
        page.set_viewport_size({**size, "height": 1500})
        page.wait_for_timeout(700)
        bring(page, root)
        root.screenshot(path=SCREENSHOTS / f"{which}-{size['width']}.png")
        assert page.evaluate("root => probe.sticksOut(root)", root) == [], size
        assert page.evaluate("root => probe.faint(root)", root) == [], "contrast of text below AA"
    page.set_viewport_size(WIDE)
    page.wait_for_timeout(500)


def check_moves(page, root, which, record):
    """Each control moves by keyboard; most change the picture; Reset goes back to the start."""
    page.mouse.move(1, 1)  # where the pointer rests on the picture, it shows what is hidden
    page.wait_for_timeout(300)
    start = shown(page, root)
    reset = next(stop for stop in stops(page, root) if stop.name == "Reset")
    changed, unchanged, times = [], [], {}
    for number, stop in enumerate(stops(page, root)):
        # A change of one control may disable or redraw another, so look again each time.
        stop = stops(page, root)[number]
        if stop.kind in ("play", "readout", "rect") or stop.name == "Reset":
            continue
        if stop.name.startswith("More (") or stop.element.evaluate(
            "e => Boolean(e.closest('.course-picture, .course-tasks'))"
        ):
            continue  # tried by touch, or with a guess
        before = shown(page, root)
        press(page, stop)
        if wait_for_change(page, root, before):
            changed.append(stop.name)
        else:
            unchanged.append(stop.name)
            moved = shown(page, root) != before
            assert moved or stop.kind == "button", f"{stop.name} does not move"
        if changed and changed[-1] == stop.name and stop.kind == "slider" and len(times) < 6:
            times[stop.name] = time_keys(page, root, stop, presses=6)
        if shown(page, root) != start:
            reset.element.focus()
            page.keyboard.press("Enter")
            page.wait_for_function(
                "([root, picture]) => root.querySelector('img')?.src !== undefined"
                " && !root.querySelector('svg[viewBox]') || probe.pictureOf(root) === picture",
                arg=[root, start[0]],
            )
            page.wait_for_timeout(300)
    assert len(changed) >= len(unchanged), f"these change nothing to see: {unchanged}"
    assert page.evaluate("root => root.querySelector('[role=alert]')", root) is None
    pressed = [t for some in times.values() for t in some]
    if pressed:
        record(which, {**summary(pressed), "controls": list(times)})
        print(f"\n{which}: {json.dumps(summary(pressed))}; no new picture: {unchanged or 'none'}")
