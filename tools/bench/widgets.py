"""How long a widget takes in the kernel from the reader's move to the new picture."""

from lib.experiments import cold_start as experiment
from lib.pretrained import load_pretrained
from lib.widgets.beam_tree import beam_explorer
from lib.widgets.cold_start import cold_start_explorer
from lib.widgets.compute import compute_explorer
from lib.widgets.compute_optimal import compute_optimal_explorer
from lib.widgets.explorer import Explorer
from lib.widgets.normalization import normalization_explorer
from lib.widgets.power_law import power_law_explorer
from lib.widgets.routing import routing_explorer
from lib.widgets.sampling import sampling_explorer
from tests.widgets.examples import three_panels, tokens
from tools.bench.driving import measure_latency
from tools.bench.measure import Row, limit


def sampling() -> Explorer:
    return sampling_explorer(*load_pretrained("smollm2-135m-instruct"))


def cold_start() -> Explorer:
    return cold_start_explorer(experiment.samples(), experiment.curves())


def beam_tree() -> Explorer:
    return beam_explorer(*load_pretrained("smollm2-135m-instruct"))


# A chapter's widget belongs here too: (what, function that returns the Explorer).
WIDGETS = [
    ("normalization widget, one move", normalization_explorer),
    ("routing widget, one move", routing_explorer),
    ("widget of three matplotlib panels, one move", three_panels),
    ("widget of tokens in SVG, one move", tokens),
    ("sampling widget on SmolLM2, one move", sampling),
    ("beam tree on SmolLM2, one move", beam_tree),
    ("cold-start widget, one move", cold_start),
    ("compute widget, one move", compute_explorer),
    ("power-law widget, one move", power_law_explorer),
    ("compute-optimal widget, one move", compute_optimal_explorer),
]


def run() -> list[Row]:
    return [
        limit(
            what,
            measure_latency(make(), updates=100).median_ms,
            "ms",
            budget=50,
            command="python -m tools.bench widgets",
        )
        for what, make in WIDGETS
    ]
