"""The web book, opened from the disk: nothing may come from the network."""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.conftest import PHONE, SCREENSHOTS, TABLET
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
from tools.book import HTML
from tools.book.widgets import WIDGETS
from tools.links import COURSE

SIZES = ({"width": 1280, "height": 1400}, {"width": 800, "height": 1180}, PHONE)
PAGES = ["index", *COURSE, "glossary", "map_of_the_library", "map_of_the_notes"]
MOVABLE = [widget for widget in WIDGETS if (HTML / f"{widget.chapter}.html").exists()]


@pytest.fixture
def offline(page):
    """A page for which only files are there."""
    asked = []

    def route(request):
        if request.request.url.startswith(("file:", "data:", "blob:")):
            request.continue_()
        else:
            asked.append(request.request.url)
            request.abort()

    page.route("**/*", route)
    yield page
    assert asked == [], "the book asks for something from the network"


@pytest.fixture(scope="module")
def served():
    """The book's address on a server of its own."""
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and writes nothing to the terminal."""

    def log_message(self, *_):
        pass


def open_page(page, name):
    page.goto((HTML / f"{name}.html").as_uri())
    page.wait_for_load_state()


@pytest.mark.parametrize("name", PAGES)
def test_page(name, offline):
    """Formulas are set, pictures are there, nothing is wider than the window."""
    open_page(offline, name)
    install(offline)
    formulas = offline.locator(".math").count()
    assert offline.locator(".math math").count() == formulas
    heights = (
        "() => [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)"
    )
    assert all(offline.evaluate(heights))
    assert offline.evaluate("() => probe.faults()") == []
    assert offline.evaluate("() => [...document.images].filter(i => !i.naturalWidth).length") == 0
    offline.screenshot(path=SCREENSHOTS / f"book-{name}.png")
    offline.set_viewport_size(TABLET)
    offline.wait_for_timeout(300)
    width = offline.evaluate("() => document.documentElement.scrollWidth")
    assert width <= TABLET["width"], "scrolls sideways on a tablet"
    offline.screenshot(path=SCREENSHOTS / f"book-{name}-tablet.png")


STICKS_OUT = """() => [...document.querySelectorAll('article *')].filter(e => {
  if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = e.parentElement; box && box !== document.body; box = box.parentElement)
    if (getComputedStyle(box).overflowX !== 'visible') return false;
  return true;
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("name", ["index", "02_attention", "09_sampling", "gallery"])
def test_on_a_phone_nothing_leaves_the_page_and_what_scrolls_says_so(name, offline):
    offline.set_viewport_size(PHONE)
    open_page(offline, name)
    assert offline.evaluate(STICKS_OUT) == []
    boxes = "all => all.map(e => [e.tabIndex, getComputedStyle(e).backgroundImage !== 'none'])"
    found = offline.eval_on_selector_all(".scrolls", boxes)
    assert found or name == "index"
    assert all(box == [0, True] for box in found), "reached by keyboard, with a shadow"
    fields = "all => all.map(e => e.getBoundingClientRect().right)"
    right = offline.evaluate("() => document.querySelector('h1').getBoundingClientRect().right")
    ends = offline.eval_on_selector_all("article ol li > input", fields)
    assert all(end <= right + 1 for end in ends), "fields keep the margin"


def test_tokens_keep_their_space_and_their_quotes(offline):
    open_page(offline, "02_attention")
    token = offline.locator("code", has_text="Paris").first
    assert token.inner_text() == " Paris", "the space is a part of the token, and is seen"
    open_page(offline, "01_tokenization")
    cells = offline.locator("td", has_text="strawberry").all_inner_texts()
    assert "' strawberry'" in cells


def test_on_paper_code_wraps_and_nothing_covers_it(offline):
    open_page(offline, "02_attention")
    offline.emulate_media(media="print")
    offline.set_viewport_size({"width": 700, "height": 1000})
    wide = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert offline.eval_on_selector_all("pre", wide) == 0
    assert not offline.locator(".skip-to-content").is_visible()


@pytest.mark.parametrize(
    ("word", "chapter"), [("perplexity", "09_sampling"), ("induction", "02_attention")]
)
def test_search(word, chapter, page, served):
    """Typed into the search field of the front page. The lines around a hit need a server."""
    page.goto(f"{served}/index.html")
    page.locator("input[type=search], input[name=q]").first.fill(word)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li p.context")
    links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any(chapter in link for link in links), links
    page.screenshot(path=SCREENSHOTS / f"book-search-{word}.png")


@pytest.mark.parametrize("widget", MOVABLE, ids=lambda widget: widget.name)
def test_widget_without_a_kernel(widget, offline, record):
    """Every control is named, is moved by keyboard, and shows another picture; Reset goes back."""
    open_page(offline, widget.chapter)
    offline.locator(f"[data-player={widget.name}]").scroll_into_view_if_needed()  # loads it
    root = offline.wait_for_selector(f"[data-player={widget.name}][data-ready]")
    install(offline)
    root.evaluate("e => e.querySelectorAll('details').forEach(d => (d.open = true))")
    root.scroll_into_view_if_needed()
    still = root.evaluate("e => e.closest('.cell_output').querySelector('img').hidden")
    assert still, "the still picture gives way to the player"
    places = [p for p in stops(offline, root.query_selector(".player-panel")) if p.name]
    places = [p for p in places if not p.name.startswith("More")]
    reset = next(place for place in places if place.name == "Reset")
    places.remove(reset)
    assert [place.name for place in places] == labels(widget)
    first, times = shown(offline, root), []
    for place in places:
        press(offline, place)
        # An order of settings shows only where two of them are on, so it need not show here.
        changed = wait_for_change(offline, root, first, seconds=1)
        assert changed or place.kind == "select", f"{place.name} changes nothing"
        assert shown(offline, root)[1] != first[1], f"{place.name} does not say its value"
        if place.kind == "slider":
            times += time_keys(offline, root, place, presses=4)
        reset.element.focus()
        offline.keyboard.press("Enter")
        assert shown(offline, root) == first, "Reset goes back to the start"
    clicks, hovers = touch_everything(offline, root, reset)
    for size in SIZES:
        offline.set_viewport_size(size)
        offline.wait_for_timeout(300)
        if size["width"] >= 800:  # on a phone the picture scrolls by itself
            assert offline.evaluate("root => probe.sticksOut(root)", root) == []
        assert offline.evaluate("root => probe.faint(root)", root) == []
        assert offline.evaluate("root => probe.smallest(root)", root) >= 7, "letters in pixels"
        root.screenshot(path=SCREENSHOTS / f"book-{widget.name}-{size['width']}.png")
    if times:  # it has sliders
        record(f"book, {widget.name}", summary(times))
    if clicks:
        record(f"book, {widget.name}, click", summary(clicks))
    if hovers:
        record(f"book, {widget.name}, hover", summary(hovers))


def touch_everything(page, root, reset):
    """A click on what sets a field, a drag, a hover; returns the times of clicks and hovers."""
    picture = root.query_selector(".player-picture")
    start = shown(page, root)[0]
    kinds = page.evaluate(
        "e => [...new Set([...e.querySelectorAll('[data-set]')].map("
        "p => Object.keys(JSON.parse(p.dataset.set)).join()))]",
        picture,
    )
    drags = page.evaluate("e => e.querySelectorAll('[data-drag]').length", picture)
    reveals = page.evaluate("e => e.querySelectorAll('[data-reveal]').length", picture)
    assert kinds or drags or reveals, "the picture can be touched"
    clicks, hovers = [], []
    for kind in kinds:
        page.evaluate(
            """([e, kind]) => [...e.querySelectorAll('[data-set]')].find(
              p => Object.keys(JSON.parse(p.dataset.set)).join() === kind
                && p.getAttribute('aria-pressed') === 'false')?.dispatchEvent(
              new MouseEvent('click', {bubbles: true}))""",
            [picture, kind],
        )
        assert shown(page, root)[0] != start, f"a click for {kind} shows nothing"
        clicks += [t for t in time_clicks(page, picture, kind, 4) if t]
        reset.element.click()
    if drags:
        handle = picture.query_selector("[data-drag]")
        before = handle.get_attribute("aria-valuenow")
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        along = handle.evaluate("e => JSON.parse(e.dataset.drag).axis")
        page.mouse.move(x, y)
        page.mouse.down()
        for way in (1, -1):
            by = 90 * way
            page.mouse.move(x + by * (along == "x"), y + by * (along == "y"), steps=4)
            after = picture.query_selector("[data-drag]").get_attribute("aria-valuenow")
            if after != before:
                break
        page.mouse.up()
        assert after != before, "a drag moves nothing"
        reset.element.click()
    if reveals:
        part = picture.query_selector("[data-reveal]")
        part.dispatch_event("pointerover")
        name = part.get_attribute("data-reveal")
        assert page.evaluate(
            "([e, n]) => [...e.querySelectorAll('[data-revealed]')].filter("
            "p => p.style.display !== 'none').map(p => p.dataset.revealed).join() === n",
            [picture, name],
        )
        hovers = time_hovers(page, picture)
    return clicks, hovers


def test_the_three_tasks_by_touch_alone(browser):
    """On a phone: a guess is written, the button moves the widget, the answer names the guess."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_page(page, "02_attention")
    page.locator("[data-player=qkv]").scroll_into_view_if_needed()
    page.wait_for_selector("[data-player=qkv][data-ready]")
    tasks = page.locator("[data-player=qkv] .player-task")
    assert tasks.count() == 3
    for i in range(3):
        task = tasks.nth(i)
        button = task.locator("button")
        assert button.is_disabled(), "a guess comes first"
        task.locator("input").tap()
        page.keyboard.type("all alike")
        before = page.locator("[data-player=qkv] .player-picture").inner_html()
        button.tap()
        assert page.locator("[data-player=qkv] .player-picture").inner_html() != before
        assert task.locator("[role=status]").inner_text().startswith("You wrote: “all alike”.")
    page.locator("[data-player=qkv] [data-set='{\"head\": 2}']").tap()
    page.wait_for_function(
        "() => document.querySelector('[data-player=qkv] svg').textContent.includes('Head 2 of')"
    )
    context.close()


def test_a_link_leads_to_a_state_of_a_widget(offline):
    offline.goto((HTML / "02_attention.html").as_uri() + "#qkv?scale=0&head=2")
    offline.wait_for_selector("[data-player=qkv][data-ready]")
    text = offline.locator("[data-player=qkv] [role=status]").first.inner_text()
    assert "times 0/√64 is 0.00" in text
    assert "Head 2" in offline.locator("[data-player=qkv] svg").text_content()


def test_a_guess_stands_beside_the_measurement(offline):
    open_page(offline, "13_scaling_laws")
    field = offline.get_by_label("Your first guess")
    field.fill("the exponential")
    assert "You guessed: the exponential" in offline.locator("article").inner_text()


def labels(widget):
    """Labels of the widget's own controls that the book has."""
    controls = {control.field: control for control in widget.make().controls}
    return [controls[field].label for field in widget.axes]


def test_the_still_picture_without_scripts(browser):
    """Scripts forbidden: the pictures of the widgets are there, and no empty box."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for widget in MOVABLE:
        page.goto((HTML / f"{widget.chapter}.html").as_uri())
        assert page.locator(f"[data-player={widget.name}]").inner_text() == ""
        picture = page.locator(f".cell_output:has([data-player={widget.name}]) img").last
        assert picture.is_visible()
        assert len(picture.get_attribute("alt")) > 20
    context.close()
