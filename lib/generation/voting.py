"""Test-time compute: draw several continuations, then choose among them.

Best-of-n needs something that scores a continuation: a verifier, a reward model, or the model's own
likelihood. Majority vote needs only that answers can be compared. Sources: Stiennon et al. (2020)
for best-of-n; Wang et al. (2023), "Self-consistency", for the vote; Chen et al. (2021) for pass@n.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.decode import next_token
from lib.generation.logits import History
from lib.generation.prefill import check_entry, dice, keep_rows, read_prompts
from lib.model import LanguageModel
from lib.settings import require, shortened

T = TypeVar("T")


@dataclass(frozen=True)
class Samples:
    """n continuations of each prompt, and -ln p of each token (nats) under the model itself.

    The surprise is that before temperature and filters; it is 0 where a continuation has stopped.
    """

    ids: Int[Tensor, "B n N"]
    surprise: Float[Tensor, "B n N"]


@torch.inference_mode()
def sample_many(
    model: LanguageModel, ids: Int[Tensor, "B T"], n: int, config: GenerationConfig
) -> Samples:
    """Draw n continuations of each prompt; the prompts are read once and shared.

    A continuation that stops is filled up, and costs no more passes. Raises ValueError for n below
    1, and if the continuation does not fit the context or the settings do not draw.
    """
    require("n", n, "[1, inf)", whole=True)
    if not config.do_sample or config.dola_layers is not None or config.stop_strings:
        raise ValueError("sample_many needs do_sample=True, without dola_layers and stop_strings")
    check_entry(model, ids, config)
    generator = dice(config, ids.device)
    hidden, cache = read_prompts(model, ids, None, n, config.max_new_tokens)
    logits = model.unembed(hidden[:, -1]).repeat_interleave(n, dim=0)
    history = History(ids.repeat_interleave(n, dim=0), ids.shape[1], generator=generator)
    stop_ids = torch.tensor(config.stop_ids, dtype=torch.long)
    stopped = torch.zeros(len(ids) * n, dtype=torch.bool)
    live = torch.arange(len(stopped))  # rows that go on; the others keep the logits of their end
    surprise = []
    for step in range(config.max_new_tokens):
        if step:
            hidden = model.hidden(history.ids[live, -1:], cache=cache)[:, -1]
            logits[live] = model.unembed(hidden)
        token = torch.where(stopped, config.fill_id, next_token(logits, config, generator, history))
        nats = -logits.float().log_softmax(dim=-1).gather(1, token[:, None])[:, 0]
        surprise.append(nats.masked_fill(stopped, 0))
        stopped |= torch.isin(token, stop_ids)
        history.ids = torch.cat([history.ids, token[:, None]], dim=1)
        going = ~stopped[live]
        if not going.all():
            live = live[going]
            if not len(live):
                break
            keep_rows(cache, going)
    rest = (0, config.max_new_tokens - len(surprise))  # after all have stopped
    new = F.pad(history.new_ids, rest, value=config.fill_id).reshape(len(ids), n, -1)
    return Samples(new, F.pad(torch.stack(surprise, dim=1), rest).reshape(new.shape))


def majority_vote(answers: Sequence[T]) -> T:
    """The most frequent answer; of several, the one
    that came first. None does not vote.

    Raises ValueError if there is no answer at all.
    """
    if not isinstance(answers, Sequence):
        raise ValueError(f"answers must be a list, got {shortened(answers)}")
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        raise ValueError("there is no answer to vote for")
    return votes.most_common(1)[0][0]  # a Counter keeps the order of arrival


def best_of_n(candidates: Sequence[T], score: Callable[[T], float]) -> T:
    """The candidate with the highest score; of several, the first. NaN never wins.

    Raises ValueError if there are no candidates.
    """
    if not candidates:
        raise ValueError("there are no candidates to choose from")

    def key(candidate: T) -> float:
        value = float(score(candidate))
        return -math.inf if math.isnan(value) else value

    return max(candidates, key=key)


def pass_at_n(n_right: int, n_drawn: int, n: int) -> float:
    """Probability that among n of the drawn continuations at least one is right.

    1 - C(n_drawn - n_right, n) / C(n_drawn, n): the unbiased estimate of Chen et al.
    (2021), from more draws than n. It is what best-of-n reaches with a perfect
    verifier.
    """
    for name, value in (("n_right", n_right), ("n_drawn", n_drawn), ("n", n)):
        require(name, value, "[0, inf)", whole=True)
    if not 0 <= n_right <= n_drawn or not 1 <= n <= n_drawn:
        given = f"{n_right}, {n_drawn}, {n}"
        raise ValueError(f"need 0 <= n_right <= n_drawn >= n >= 1, got {given}")
    return 1 - math.comb(n_drawn - n_right, n) / math.comb(n_drawn, n)
