"""The web book, opened from the disk: nothing may come from the network."""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.conftest import SCREENSHOTS, TABLET
from tests.browser.probing import install, press, shown, stops, summary, time_keys, wait_for_change
from tools.book import HTML
from tools.book.widgets import WIDGETS
from tools.links import COURSE

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
    if page.query_selector(".math"):
        page.wait_for_function("() => window.MathJax?.startup?.promise")
        page.evaluate("() => MathJax.startup.promise")


@pytest.mark.parametrize("name", PAGES)
def test_page(name, offline):
    """Formulas are set, pictures are there, nothing is wider than the window."""
    open_page(offline, name)
    formulas = offline.locator(".math").count()
    assert offline.locator("mjx-container").count() >= formulas
    assert offline.locator("mjx-merror, [data-mml-node=merror]").count() == 0
    assert offline.evaluate("() => [...document.images].filter(i => !i.naturalWidth).length") == 0
    offline.screenshot(path=SCREENSHOTS / f"book-{name}.png")
    offline.set_viewport_size(TABLET)
    offline.wait_for_timeout(300)
    width = offline.evaluate("() => document.documentElement.scrollWidth")
    assert width <= TABLET["width"], "scrolls sideways on a tablet"
    offline.screenshot(path=SCREENSHOTS / f"book-{name}-tablet.png")


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
    root = offline.wait_for_selector(f"[data-player={widget.name}][data-ready]")
    install(offline)
    root.scroll_into_view_if_needed()
    still = root.evaluate("e => e.closest('.cell_output').querySelector('img').hidden")
    assert still, "the still picture gives way to the player"
    places = stops(offline, root)
    assert [place.name for place in places] == [*labels(widget), "Reset"]
    first, times = shown(offline, root), []
    for place in places[:-1]:
        press(offline, place)
        # An order of settings shows only where two of them are on, so it need not show here.
        changed = wait_for_change(offline, root, first, seconds=1)
        assert changed or place.kind == "select", f"{place.name} changes nothing"
        assert shown(offline, root)[1] != first[1], f"{place.name} does not say its value"
        if place.kind == "slider":
            times += time_keys(offline, root, place, presses=4)
        places[-1].element.focus()
        offline.keyboard.press("Enter")
        assert shown(offline, root) == first, "Reset goes back to the start"
    for size in ({"width": 1280, "height": 1400}, TABLET):
        offline.set_viewport_size(size)
        offline.wait_for_timeout(300)
        assert offline.evaluate("root => probe.sticksOut(root)", root) == []
        assert offline.evaluate("root => probe.faint(root)", root) == []
        root.screenshot(path=SCREENSHOTS / f"book-{widget.name}-{size['width']}.png")
    record(f"book, {widget.name}", summary(times))


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
        picture = page.locator(".cell_output:has([data-player]) img").last
        assert picture.is_visible()
        assert len(picture.get_attribute("alt")) > 20
    context.close()
