"""How long the query-key-value widget takes from the reader's move to the new picture."""

from lib.pretrained import load_pretrained
from lib.widgets.qkv import qkv_explorer
from tools.bench.driving import measure_latency
from tools.bench.measure import Row


def run() -> list[Row]:
    """On SmolLM2's heads; a new text costs a run of the model, which is part of the moves."""
    explorer = qkv_explorer(*load_pretrained("smollm2-135m-instruct"))
    return [
        Row(
            what="widget of queries, keys and values in SVG, one move",
            unit="ms",
            ours=measure_latency(explorer, updates=100).median_ms,
            peer=None,
            peer_name="",
            ratio=None,
            spread=None,
            budget=50,
            higher_is_better=False,
            command="python -m tools.bench attention",
        )
    ]
