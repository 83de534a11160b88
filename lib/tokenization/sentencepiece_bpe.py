"""SentencePiece .model files of the BPE type (Llama 2, Mistral, Gemma), as BPE settings.

SentencePiece keeps no merges: it joins any two neighbors that together are a piece, the piece with
the best score first. As merges that is every way to cut a piece into two pieces, in order of score.
"""

import base64
import os
from typing import Any

from lib.tokenization import sentencepiece_model
from lib.tokenization.pretokenization import SPACE
from lib.tokenization.sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    SentencePieceModel,
)

LONGEST = 512  # characters of a piece; every way to cut it is tried


def read(path: str | os.PathLike) -> dict[str, Any]:
    """The settings of a BPETokenizer; ValueError for a damaged file or another type of model."""
    return settings(sentencepiece_model.read(path, kind="bpe"), path)


def settings(model: SentencePieceModel, path: str | os.PathLike) -> dict[str, Any]:
    """The same of a model in memory; `path` is where it comes from, for the errors."""
    kinds = {}
    for i, (piece, kind) in enumerate(zip(model.pieces, model.types, strict=True)):
        if kinds.setdefault(piece, (kind, i)) != (kind, i):
            raise ValueError(f"{path}: the piece {piece!r} stands in the vocabulary twice")
    if max(map(len, model.pieces)) > LONGEST:
        raise ValueError(f"{path}: a piece of more than {LONGEST} characters")
    ids = {piece: i for piece, (kind, i) in kinds.items() if kind in (NORMAL, USER_DEFINED)}
    merges = [
        (ids[piece[:cut]], ids[piece[cut:]])
        for piece in sorted(ids, key=lambda piece: -model.scores[ids[piece]])
        if kinds[piece][0] == NORMAL
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    special = {p: i for p, (kind, i) in kinds.items() if kind in (CONTROL, UNKNOWN)}
    added = {piece: i for piece, (kind, i) in kinds.items() if kind == USER_DEFINED}
    steps: list[dict[str, Any]] = []
    if model.character_map:
        blob = base64.b64encode(model.character_map).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": blob})
    prefix = [{"type": "Prepend", "prepend": SPACE}] if model.add_dummy_prefix else []
    if model.remove_extra_whitespaces:  # ▁ at the end is a space too
        ends = {"Regex": rf"\A +|[ {SPACE}]+\z"}
        steps.append({"type": "Replace", "pattern": ends, "content": ""})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
        steps += prefix
    else:  # also before a text of which the map leaves nothing
        steps = prefix + steps
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    unknown = next((p for p, (kind, _) in kinds.items() if kind == UNKNOWN), None)
    named = {role: next((p for p in names if p in special), None) for role, names in NAMES.items()}
    return {
        "tokens": model.pieces,
        "merges": merges,
        "pattern": None,
        "special_tokens": special,
        "added_tokens": added,
        "token_options": {piece: ["normalized"] for piece in added},
        "byte_level": False,
        "decoder": [
            {"type": "SentencePiece", "unknown": unknown or ""}
            | {name: getattr(model, name) for name in SPACES}
        ],
        "unknown_token": unknown,
        "fuse_unknown": True,
        "byte_fallback": BYTE in model.types,
        "normalization": steps,
        "equal_ranks": True,
        **named,
    }


SPACES = ("add_dummy_prefix", "remove_extra_whitespaces")
NAMES = {"bos_token": ("<s>", "<bos>"), "eos_token": ("</s>", "<eos>")}
