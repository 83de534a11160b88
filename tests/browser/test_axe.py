"""axe-core, the usual judge of pages' accessibility, on every page of the book.

Its script is inside the package axe-playwright-python, so nothing comes from the network. What it
calls minor or moderate is left to the eye.
"""

import pytest

from tests.browser.conftest import PHONE, WIDE
from tools.book import HTML

GRAVE = {"serious", "critical"}
EVERYTHING = {"resultTypes": ["violations"]}
COLORS = {**EVERYTHING, "runOnly": ["color-contrast", "link-in-text-block"]}
# A page that only leads elsewhere is left at once; Sphinx writes the one for the search.
PAGES = sorted(
    path.stem for path in HTML.glob("*.html") if 'http-equiv="refresh"' not in path.read_text()
)


@pytest.fixture(scope="module")
def axe():
    from axe_playwright_python.sync_playwright import Axe

    return Axe()


def findings(axe, page, options):
    """One line for each rule that is broken: the rule, how often, and the first place."""
    broken = axe.run(page, options=options).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} times: {rule['nodes'][0]['html']}"
        for rule in broken
        if rule["impact"] in GRAVE
    ]


def test_axe_finds_what_is_wrong(axe, page):
    """A picture without words and letters that are too pale, so that silence means something."""
    page.set_content('<html lang="en"><title>t</title><img src="x.png"><p style="color:#ccc">pale')
    found = [line.split()[0] for line in findings(axe, page, EVERYTHING)]
    assert sorted(found) == ["color-contrast", "image-alt"]
    assert [line.split()[0] for line in findings(axe, page, COLORS)] == ["color-contrast"]


@pytest.mark.parametrize("name", PAGES)
def test_axe_has_nothing_serious_to_say(name, axe, page):
    """Wide and on a phone, by day and by night, with the widgets as they are when they move.

    Night changes nothing but colors.
    """
    page.goto((HTML / f"{name}.html").as_uri())
    page.wait_for_load_state()
    for box in page.query_selector_all("[data-player]"):
        box.scroll_into_view_if_needed()  # loads it
        box.wait_for_selector("[role=status]")
    found = {}
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        for scheme, options in (("light", EVERYTHING), ("dark", COLORS)):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(300)
            found[f"{size['width']} px, {scheme}"] = findings(axe, page, options)
    assert not any(found.values()), found
