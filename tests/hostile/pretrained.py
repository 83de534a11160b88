"""Files and names that nothing can be loaded from: each of CASES must raise a clear error."""

import json
import struct
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from lib.downloads import download
from lib.pretrained import load_folder, load_gguf, load_pretrained
from lib.pretrained.kinds import READERS
from lib.pretrained.settings import read_config

LLAMA = dict(
    model_type="llama",
    vocab_size=20,
    hidden_size=8,
    intermediate_size=12,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=16,
)
VALUES = [None, True, "16", float("nan"), -1, 0, 1.5, 10**9, 10**30, [], ["a"], {}, {"a": 1}]
KEYS = [*LLAMA, "num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "rope_parameters"]
KEYS += ["rms_norm_eps", "hidden_act", "attention_bias", "tie_word_embeddings", "sliding_window"]
CONTENTS = {
    "empty": b"",
    "zeros": bytes(1000),
    "ones": b"\xff" * 3_000_000,
    "a list": b"[]",
    "a number": b"3",
    "half": b'{"model_type": "lla',
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "html": b"<!DOCTYPE html><html>404</html>",
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}
GGUF = {
    f"gguf of {n_tensors} tensors and {n_fields} fields": b"GGUF"
    + struct.pack("<IQQ", 3, n_tensors, n_fields)
    + bytes(200)
    for n_tensors in (0, 1, 2**40)
    for n_fields in (0, 1, 10, 2**62)
}


def folder(config: dict | bytes = LLAMA, **files: bytes) -> Path:
    """A folder with a config.json and other files; `model` is a real but incomplete one."""
    path = Path(tempfile.mkdtemp(prefix="hostile-"))
    content = config if isinstance(config, bytes) else json.dumps(config).encode()
    (path / "config.json").write_bytes(content)
    save_file({"model.norm.weight": torch.ones(8)}, path / "model.safetensors")
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def gguf(content: bytes) -> Path:
    path = Path(tempfile.mkdtemp(prefix="hostile-")) / "file.gguf"
    path.write_bytes(content)
    return path


def files(name: str, content: bytes):
    return lambda: load_folder(folder(**{name: content}))


CASES = [
    (f"config.json: {name}", lambda c=c: load_folder(folder(c))) for name, c in CONTENTS.items()
]
CASES += [
    (f"{file}: {name}", files(file, content))
    for file in ("model.safetensors", "model.safetensors.index.json", "tokenizer.json")
    for name, content in CONTENTS.items()
]
CASES += [
    (f"GGUF: {name}", lambda c=content: load_gguf(gguf(c)))
    for name, content in (CONTENTS | GGUF).items()
]
CASES += [
    (f"config {key}={value!r:.20}", lambda k=key, v=value: read_config(LLAMA | {k: v}))
    for key in KEYS
    for value in VALUES
]
CASES += [
    (f"read_config of a {kind}", lambda k=kind: read_config({"model_type": k}))
    for kind in [*READERS, "bert", "t5", "gemma3", "", None, 3]
]
CASES += [
    (f"load_pretrained({name!r:.30})", lambda n=name: load_pretrained(n))
    for name in (
        "",
        "nowhere",
        "./nowhere",
        "a/b/c",
        "~nobody/x",
        "x" * 9999,
        "\0",
        None,
        3,
        [],
        b"x",
    )
]
CASES += [
    (f"dtype={dtype}", lambda d=dtype: load_folder(folder(), d))
    for dtype in (torch.int64, torch.bool, torch.complex64, "float32", None, float)
]
CASES += [
    (f"download to {name!r}", lambda n=name: download("http://127.0.0.1:9/x", "0" * 64, n))
    for name in ("../x", "/x", "a/b", "", "..", "\0", None, 3)
]
