"""How long the query-key-value widget takes from the reader's move to the new picture."""

from lib.pretrained import load_pretrained
from lib.widgets.qkv import qkv_explorer
from tools.bench.driving import measure_latency
from tools.bench.measure import Row, limit


def run() -> list[Row]:
    """On SmolLM2's heads; a new text costs a run of the model, which is part of the moves."""
    explorer = qkv_explorer(*load_pretrained("smollm2-135m-instruct"))
    return [
        limit(
            "widget of queries, keys and values in SVG, one move",
            measure_latency(explorer, updates=100).median_ms,
            "ms",
            budget=50,
            command="python -m tools.bench attention",
        )
    ]
