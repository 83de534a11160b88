"""Training `--size small` of `python -m lib.training`, against a loop like nanoGPT's, written anew.

The peer is GPT-2 in plain PyTorch as nanoGPT (Karpathy, 2022) has it: one matrix for queries, keys
and values, fused attention, a tied head, fused AdamW, clipped gradients.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.model import LanguageModel
from lib.training import TrainingConfig
from lib.training.optimizer import decay_groups
from lib.training.shapes import SIZES, shape
from tools.bench.measure import Row
from tools.bench.training import compare_training

BATCH, CONTEXT, VOCAB, STEPS = 16, 256, 2048, 2


class PeerBlock(nn.Module):
    """Attention and feed-forward layer, each added to what came in."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_1, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.output, self.norm_2 = nn.Linear(width, width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        parts = self.qkv(self.norm_1(x)).chunk(3, dim=-1)
        query, key, value = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Peer(nn.Module):
    """The whole model; its parameters come in the order of ours."""

    def __init__(self, width: int, layers: int, heads: int):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCAB, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(PeerBlock(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)


def run() -> list[Row]:
    """Both learn the same batch from the same weights, and must reach the same loss."""
    torch.manual_seed(0)
    config = shape("gpt2", VOCAB, CONTEXT, SIZES["small"])
    model, peer = LanguageModel(config), Peer(config.d_model, config.n_layers, config.n_heads)
    for theirs, ours in zip(peer.parameters(), model.parameters(), strict=True):
        theirs.data.copy_(ours.data)
    windows = torch.randint(VOCAB, (BATCH, CONTEXT + 1))
    settings = TrainingConfig(steps=STEPS, batch_size=BATCH, context_length=CONTEXT)
    optimizer = torch.optim.AdamW(
        decay_groups(peer, 0.1), lr=settings.learning_rate, betas=settings.betas, fused=True
    )

    def loss() -> Tensor:
        logits = peer(windows[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())

    return [
        compare_training(
            f"training --size small, {model.count_parameters():,} parameters",
            (model, windows, settings),
            (loss, optimizer),
            "a loop like nanoGPT's, in plain PyTorch",
            budget=1.0,
            command="python -m tools.bench training_small",
            repeats=5,
        )
    ]
