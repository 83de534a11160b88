"""Fields for guesses: what is written stands later, as text; a static page has a picture."""

import pytest

from lib.widgets.explorer import VIEW
from lib.widgets.guesses import Guesses


def test_a_guess_stands_beside_what_is_measured():
    guesses = Guesses(2)
    later = guesses.beside(2)
    (said,) = later.children
    assert "no guess" in said.value
    guesses.children[1].set_state({"value": " 5 < 8 "})  # as a browser does
    assert ">You guessed: 5 &lt; 8<" in said.value
    guesses.children[0].set_state({"value": "another"})
    assert "another" not in said.value
    (again,) = guesses.beside(2).children
    assert again.value == said.value


def test_a_static_page_shows_a_picture_of_each():
    guesses = Guesses(3)
    for box, words in (
        (guesses, "first guess, second guess, third guess"),
        (guesses.beside(3), "third guess"),
    ):
        data, metadata = box._repr_mimebundle_()
        assert VIEW in data
        assert words in data["text/plain"]
        assert metadata["image/png"]["alt"] == data["text/plain"]


@pytest.mark.parametrize("count", [0, 5])
def test_other_counts_are_refused(count):
    with pytest.raises(ValueError, match=f"count must be in 1 to 4, got {count}"):
        Guesses(count)
    with pytest.raises(ValueError, match="number must be in 1 to 2, got"):
        Guesses(2).beside(count)
