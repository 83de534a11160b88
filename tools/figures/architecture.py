"""GPT-2 and Qwen3 side by side, drawn from their configurations by lib.diagrams."""

from lib.diagrams import architecture
from lib.diagrams.facts import facts
from lib.diagrams.gallery import GALLERY
from lib.display import save_figure
from tools.course import ROOT

NAMES = ("GPT-2", "Qwen3 0.6B")
ALT = (
    "GPT-2 and Qwen3 0.6B as columns of boxes, side by side: embedding, a block with norms, "
    "attention and feed-forward beside the residual stream, a last norm and the head. Each box has "
    "its parameters, each arrow its width; what the other model lacks is bold and orange."
)


def draw() -> None:
    configs = [GALLERY[name].config() for name in NAMES]
    data = {name: vars(facts(config)) for name, config in zip(NAMES, configs, strict=True)}
    picture = architecture(*configs, names=NAMES)
    save_figure(picture, ROOT / "figures" / "architecture.png", alt=ALT, data=data)
