"""The beam tree widget: a search on SmolLM2 that grows step by step under the reader's hand.

A step takes a run of the model, so those that one move leads to are taken while the reader looks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock

import torch

from lib.display import Drawing, visible
from lib.generation.beam import BeamStep, beam_steps
from lib.generation.config import RANGES, GenerationConfig
from lib.model import LanguageModel
from lib.settings import require_kind
from lib.tokenization import BPETokenizer
from lib.widgets.beam_tree_picture import WIDTH, picture
from lib.widgets.choices import Button, TextInput
from lib.widgets.controls import Control, FloatSlider, IntSlider, within
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture

PROMPTS = ("The first thing he saw was", "My favorite food is", "The capital of France is")
MOST_STEPS, MOST_BEAMS, MOST_DIVERSITY = 7, 4, 3
DIVERSITY_STEP = 0.1


@dataclass(frozen=True)
class State:
    """The prompt, the search's settings, and how many steps are shown."""

    prompt: str = PROMPTS[0]
    num_beams: int = 3
    length_penalty: float = 1.0
    diversity_penalty: float = 0.0
    step: int = 6


def beam_explorer(
    model: LanguageModel, tokenizer: BPETokenizer, prompt: str = PROMPTS[0]
) -> Explorer:
    """A beam search after a text that the reader types, one step at a time.

    A sentence may end: a period counts as the stop token. With a diversity penalty every beam is a
    group of its own. An empty text begins after the tokenizer's end-of-text token.
    """
    require_kind("model", model, LanguageModel)
    require_kind("tokenizer", tokenizer, BPETokenizer)
    stop_ids = tuple(tokenizer.encode(".")) or (tokenizer.eos_id or 0,)

    @lru_cache(maxsize=32)
    def search(prompt: str, beams: int, diversity: float) -> Search:
        start = tokenizer.encode(prompt) or [tokenizer.eos_id or 0]
        apart = diversity > 0 and beams > 1
        config = GenerationConfig(
            num_beams=max(beams, 2),
            num_beam_groups=beams if apart else 1,
            diversity_penalty=diversity if apart else 0.0,
            max_new_tokens=MOST_STEPS + 1,  # the last step would end all texts
            eos_token_id=stop_ids,
            early_stopping="never",
            length_penalty=0.0,
        )
        return Search(beam_steps(model, torch.tensor([start]), config))

    def search_of(state: State) -> Search:
        return search(state.prompt, state.num_beams, state.diversity_penalty)

    def steps(state: State) -> list[BeamStep]:
        return search_of(state).first(state.step)

    def name(token: int) -> str:
        text = visible(tokenizer.decode([token]))
        return text if len(text) <= 10 else text[:9] + "…"

    def ranked(state: State) -> list[tuple[float, str, bool]]:
        """(score, text, finished) of all that runs or has finished, best first."""
        taken = steps(state)
        prompt_length = taken[-1].ids.shape[2] - len(taken)
        rows = zip(taken[-1].ids[0, :, prompt_length:].tolist(), taken[-1].log_p[0], strict=True)
        found = [(ids, log_p.item(), False) for ids, log_p in rows]
        found += [(list(ids), log_p, True) for ids, log_p in finished(taken)]
        texts = [
            (log_p / len(ids) ** state.length_penalty, tokenizer.decode(ids), done)
            for ids, log_p, done in found
        ]
        return sorted(texts, key=lambda text: -text[0])

    def describe(state: State) -> str:
        score, text, done = ranked(state)[0]
        state_of = "has ended" if done else "runs on"
        steps_taken = "1 step" if len(steps(state)) == 1 else f"{len(steps(state))} steps"
        return (
            f"After {steps_taken} with {state.num_beams} beams the best text is “{visible(text)}”, "
            f"which {state_of}, with the score {score:.2f}."
        )

    def draw(state: State) -> Drawing:
        return picture(steps(state), state.prompt, ranked(state), name, MOST_STEPS)

    def ahead(state: State) -> Iterator[None]:
        for near in reachable(state):
            for count in range(1, near.step + 1):
                found = search_of(near)
                if not found.has(count):
                    found.first(count)
                    yield

    picture_of = DrawingPicture(draw, WIDTH)
    return Explorer(State(prompt), controls(), picture_of, describe, ahead=ahead)


class Search:
    """A search that goes on only as far as it is asked; two threads may ask."""

    def __init__(self, steps: Iterator[BeamStep]) -> None:
        self._steps, self._lock = steps, Lock()
        self._taken: list[BeamStep] = []
        self._end: Exception | None = None

    def has(self, count: int) -> bool:
        """True where so many steps need no run of the model."""
        return len(self._taken) >= count or isinstance(self._end, StopIteration)

    def first(self, count: int) -> list[BeamStep]:
        """So many steps, or all where the search ends before; what it raises, it raises again."""
        while not self.has(count):
            with self._lock:  # for one step: whoever waits needs that step too
                if not self.has(count):
                    self._go_on()
        return self._taken[:count]

    def _go_on(self) -> None:
        if self._end is not None:
            raise self._end
        try:
            self._taken.append(next(self._steps))
        except StopIteration as end:
            self._end = end
        except Exception as error:
            self._end = error
            raise


def reachable(state: State) -> Iterator[State]:
    """What one move leads to: further steps, another number of beams, diversity, another prompt."""
    yield replace(state, step=MOST_STEPS)
    for beams in (state.num_beams + 1, state.num_beams - 1):
        if 2 <= beams <= MOST_BEAMS:
            yield replace(state, num_beams=beams)
    for change in (DIVERSITY_STEP, -DIVERSITY_STEP):
        penalty = round(state.diversity_penalty + change, 10)
        if 0 <= penalty <= MOST_DIVERSITY:
            yield replace(state, diversity_penalty=penalty)
    for prompt in PROMPTS:
        yield replace(state, prompt=prompt)


def finished(steps: list[BeamStep]) -> list[tuple[tuple[int, ...], float]]:
    """(continuation, ln p) of every candidate that ended, found by walking back to its root."""
    found = []
    for place, step in enumerate(steps):
        for c in step.candidates[0]:
            if c.fate == "finished":
                before = () if place == 0 else tuple(steps[place - 1].ids[0, c.parent].tolist())
                new = before[len(before) - place :] if place else ()
                found.append(((*new, c.token), c.log_p))
    return found


def controls() -> list[Control]:
    """All that a reader can move."""

    def moved(by: int) -> Callable[[State], State]:
        return lambda state: replace(state, step=min(max(state.step + by, 1), MOST_STEPS))

    beams = within(RANGES["num_beams"], 2, MOST_BEAMS)
    power = within(RANGES["length_penalty"], 0, 2)
    push = within(RANGES["diversity_penalty"], high=MOST_DIVERSITY)
    return [
        TextInput("prompt", "text", "Press Enter when done.", 200, examples=PROMPTS),
        Button("forward", "Next step", "Extends every beam by one token.", moved(1)),
        Button("back", "Back", "Takes the last step away again.", moved(-1)),
        IntSlider("step", "steps", "How far the search has come.", 1, MOST_STEPS),
        IntSlider("num_beams", "beams", "How many beginnings are kept.", *beams),
        FloatSlider("length_penalty", "length penalty", "Ranks by ln p / length to this.", *power),
        FloatSlider(
            "diversity_penalty",
            "diversity",
            "Above 0 beams push each other off.",
            *push,
            step=DIVERSITY_STEP,
        ),
    ]
