import json
from xml.etree import ElementTree

import pytest

from lib.diagrams.facts import facts
from lib.diagrams.gallery import GALLERY
from lib.model.parameters import parameters
from lib.widgets.architecture import NONE, State, architecture_explorer
from tools.bench.driving import drive


def test_every_control_of_the_widget():
    explorer = architecture_explorer("GPT-2")
    totals = set()
    for frame in drive(explorer, per_control=2):
        numbers = facts(frame.state.config())
        assert f"{numbers.parameters:,}" in frame.picture
        assert f"{numbers.cache:,} bytes a token" in frame.caption
        totals.add(numbers.parameters)
    assert len(totals) > 3


@pytest.mark.parametrize("name", GALLERY)
def test_an_untouched_model_is_the_published_one(name):
    config = GALLERY[name].config()
    assert State(name).config() == config
    dense = State(name, experts=NONE).config()
    assert dense.n_experts is None
    four, eight = (State(name, experts=n, active=2).config() for n in (4, 8))
    assert parameters(eight) > parameters(four)
    assert parameters(eight, active=True) - parameters(four, active=True) < 1e7  # the router alone
    if config.latent is None:
        assert facts(State(name, kv_heads=1).config()).cache <= facts(config).cache
        assert State(name, window=128).config().layer_window(0) == 128


@pytest.mark.parametrize("name", ["GPT-2", "Qwen3 0.6B", "DeepSeek-V3", "Gemma 3 1B"])
def test_a_click_on_a_box_turns_its_setting_and_another_turns_it_back(name):
    """Each spot lies on a box of the drawing, whose words are those of what it sets."""
    explorer = architecture_explorer(name)
    start = GALLERY[name].config()
    of = {"placement": "norm", "kv_heads": "attention", "experts": "feedforward"}
    fields = {"placement": "norm_placement", "kv_heads": "n_kv_heads", "experts": "n_experts"}
    seen = set()
    for box, changes in spots(explorer):
        ((field, _),) = changes.items()
        assert of[field] in box.replace("experts", "feedforward")
        reach(explorer, changes)
        changed = explorer.state.config()
        assert getattr(changed, fields[field]) != getattr(start, fields[field])
        back = [turned for _, turned in spots(explorer) if field in turned]
        assert all(turned == back[0] for turned in back)
        reach(explorer, back[0])
        assert explorer.state.config() == start
        seen.add(field)
    latent = start.latent is not None or start.n_kv_heads == 1
    assert seen == set(of) - ({"kv_heads"} if latent else set())


def test_without_experts_none_can_be_active():
    explorer = architecture_explorer("GPT-2")
    active = explorer.handles[[c.field for c in explorer.controls].index("active")]
    assert active.disabled
    reach(explorer, {"experts": 8})
    assert not active.disabled


def spots(explorer):
    """(name of the box below, what a click sets) for each spot of the picture."""
    root = ElementTree.fromstring(explorer.picture.current())
    place = {}  # what a box's tip begins with, by where it stands
    for e in root.iter():
        tip = e.findtext("{http://www.w3.org/2000/svg}title") or ""
        if ": " in tip and not e.get("data-set"):  # a box itself
            place[e.get("x"), e.get("y"), e.get("width")] = tip.split(":")[0]
    return [
        (place[e.get("x"), e.get("y"), e.get("width")], json.loads(e.get("data-set")))
        for e in root.iter()
        if e.get("data-set")
    ]


def reach(explorer, changes):
    """Do what front.js sends."""
    explorer.picture.widget.touched = {"count": id(changes), "changes": changes}


def test_an_unknown_start_is_named():
    with pytest.raises(ValueError, match="start must be one of GPT-2"):
        architecture_explorer("GPT-5")
