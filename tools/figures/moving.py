"""The README's moving picture: the sampling widget, its temperature and its cut on the way."""

import io
from dataclasses import replace

from PIL import Image

from lib.files import write_file
from lib.pretrained import load_pretrained
from lib.widgets.sampling import sampling_explorer
from tools.course import ROOT

PATH = "figures/moving.png"
WIDTH = 640  # pixels
TEMPERATURES = (1.0, 0.8, 0.6, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
CUTS = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def draw() -> None:
    """Write an animated PNG of the widget's own pictures at a row of states."""
    explorer = sampling_explorer(*load_pretrained("smollm2-135m-instruct"))
    start = replace(explorer.state, top_p=1.0)
    states = [replace(start, temperature=t) for t in TEMPERATURES]
    states += [replace(start, temperature=1.6, top_p=p) for p in CUTS]
    frames = []
    for state in states:
        image = Image.open(io.BytesIO(explorer.picture.png(state))).convert("RGB")
        height = round(image.height * WIDTH / image.width)
        frames.append(image.resize((WIDTH, height), Image.LANCZOS).quantize(24, dither=0))
    buffer = io.BytesIO()
    waits = [1500, *[450] * (len(frames) - 2), 2500]
    animated = {"save_all": True, "append_images": frames[1:], "duration": waits, "loop": 0}
    frames[0].save(buffer, "PNG", optimize=True, **animated)
    write_file(ROOT / PATH, buffer.getvalue())
    print(f"{PATH}: {len(frames)} pictures, {len(buffer.getvalue()) / 1e6:.2f} MB")
