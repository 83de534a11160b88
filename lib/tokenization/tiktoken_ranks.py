"""Reading a tiktoken rank file: each line a token in base64 and its rank.

tiktoken keeps no merges: it joins any two neighbors whose bytes together are a token, the lowest
rank first. As merges that is every way to cut a token into two tokens, in order of rank.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.tokenization.pretokenization import MOST_HOLES, spell

LONGEST = 4096  # bytes of a token; every way to cut it is tried


def read(path: str | os.PathLike, special_tokens: Mapping[str, int]) -> dict[str, Any]:
    """The tokens, merges and special tokens of a BPETokenizer from a rank file.

    Raises ValueError for a line that is no token and rank, for a missing byte, for ids that leave
    a gap, and for a special token whose id is taken.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"{path}, line {number}: not a token and a rank: {line!r:.200}"
            ) from error
    if len(set(ranks.values())) < len(ranks):
        raise ValueError(f"{path}: two tokens have the same rank")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ValueError(f"{path}: no token for byte {missing[0]} ({len(missing)} bytes missing)")
    by_id: dict[int, str] = {rank: spell(token) for token, rank in ranks.items()}
    for token, i in special_tokens.items():
        if i in by_id:
            raise ValueError(f"special token {token!r}: id {i} is taken by {by_id[i]!r}")
        by_id[i] = token
    if max(by_id) >= len(by_id) + MOST_HOLES or min(by_id) < 0:
        raise ValueError(f"{path}: id {max(by_id)} is not near the {len(by_id)} tokens")
    longest = max(map(len, ranks))
    if longest > LONGEST:
        raise ValueError(f"{path}: a token of {longest:,} bytes; at most {LONGEST:,} are read")
    merges = [
        (ranks[token[:cut]], ranks[token[cut:]])
        for token in sorted(ranks, key=ranks.__getitem__)
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]
    tokens = [by_id.get(i, "") for i in range(max(by_id) + 1)]
    special = dict(special_tokens)
    return {"tokens": tokens, "merges": merges, "special_tokens": special, "equal_ranks": True}
