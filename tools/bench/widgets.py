"""How long a widget takes in the kernel from the reader's move to the new picture."""

from lib.widgets.driving import measure_latency
from tests.widgets.examples import three_panels, tokens
from tools.bench.measure import Row

# A chapter's widget belongs here too: (what, function that returns the Explorer).
WIDGETS = [
    ("widget of three matplotlib panels, one move", three_panels),
    ("widget of tokens in SVG, one move", tokens),
]


def run() -> list[Row]:
    return [
        Row(
            what=what,
            unit="ms",
            ours=measure_latency(make(), updates=100).median_ms,
            peer=None,
            peer_name="",
            ratio=None,
            spread=None,
            budget=50,
            higher_is_better=False,
            command="python -m tools.bench widgets",
        )
        for what, make in WIDGETS
    ]
