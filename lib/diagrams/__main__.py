"""Draw any supported config.json: `python -m lib.diagrams config.json --out model.png`.

Two files are drawn side by side. They may also be names of the gallery, such as "Qwen3 0.6B"; with
no name all its models are listed. Without `--out` only the numbers are printed. What says nothing
of the architecture (quantization, code for other programs) is ignored.
"""

import argparse
import json
import sys
from pathlib import Path

from lib.diagrams.architecture import architecture
from lib.diagrams.facts import facts
from lib.diagrams.gallery import GALLERY
from lib.display import show_table
from lib.files import write_file
from lib.model import ModelConfig
from lib.pretrained.settings import read_config

HEADINGS = {"cache": "cache, bytes a token", "flops": "FLOPs a token"}
NO_SHAPE = ("quantization_config", "quantization", "auto_map")


def main(arguments: list[str] | None = None) -> int:
    """Print the fact sheet of one or two models, and write their picture; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lib.diagrams", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="config.json", help="one or two; none: all")
    parser.add_argument("--out", type=Path, help="a picture to write: .svg or .png")
    given = parser.parse_args(arguments)
    try:
        _run(given.models or list(GALLERY), given.out)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(names: list[str], out: Path | None) -> None:
    if out is not None and len(names) > 2:
        raise ValueError(f"a picture holds one or two models, got {len(names)}")
    if out is not None and out.suffix not in (".svg", ".png"):
        raise ValueError(f"a picture is written as .svg or .png, got {out.name!r}")
    configs = {_name(name): _config(name) for name in names}
    if out is not None:
        picture = architecture(*configs.values(), names=list(configs))
        content = picture.svg(picture.alt) if out.suffix == ".svg" else picture.png()
        write_file(out, content)
        print(f"{out}: written")
    rows = []
    for name, config in configs.items():
        numbers = facts(config)
        rows.append({"model": name} | {HEADINGS.get(k, k): v for k, v in vars(numbers).items()})
    show_table(rows, formats={HEADINGS["flops"]: ".3g"})


def _name(name: str) -> str:
    path = Path(name)
    if name in GALLERY:
        return name
    return path.parent.name if path.name == "config.json" and path.parent.name else path.stem


def _config(name: str) -> ModelConfig:
    if name in GALLERY:
        return GALLERY[name].config()
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"{name} is neither a file nor one of {', '.join(GALLERY)}")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not valid JSON ({error})") from error
    if isinstance(settings, dict):
        settings = {key: value for key, value in settings.items() if key not in NO_SHAPE}
    return read_config(settings)


if __name__ == "__main__":
    raise SystemExit(main())
