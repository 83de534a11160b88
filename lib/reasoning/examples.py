"""What SFT learns from: a prompt and a response, or a chat of several turns, as token ids."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from lib.settings import shortened
from lib.tokenization import BPETokenizer
from lib.tokenization.chat import Message, encode_marked, listed, marks_for, render_marked


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and response; the first `n_prompt` are read, the others learned.

    A text to learn as a whole has n_prompt = 1: nothing comes before its first token. `learned`
    says it for each token instead, where there are several responses; then `n_prompt` is what
    stands before the first. Raises ValueError if nothing is read or nothing is learned.
    """

    ids: Sequence[int]
    n_prompt: int = 1
    learned: Sequence[bool] | None = None

    def __post_init__(self):
        whole = isinstance(self.ids, Sequence) and all(type(i) is int for i in self.ids)
        if not whole or isinstance(self.ids, str | bytes):
            raise ValueError(f"ids must be a list of whole numbers, got {shortened(self.ids)}")
        n, learned = len(self.ids), self.learned
        if learned is not None:
            plain = isinstance(learned, Sequence) and all(isinstance(i, Hashable) for i in learned)
            if not plain or len(learned) != n or {*learned} - {0, 1}:
                raise ValueError(
                    f"learned must be True or False for each of {n} ids, got {shortened(learned)}"
                )
            object.__setattr__(self, "learned", tuple(map(bool, learned)))
            object.__setattr__(self, "n_prompt", learned.index(True) if any(learned) else n)
        if type(self.n_prompt) is not int or not 1 <= self.n_prompt < n:
            raise ValueError(
                f"n_prompt must be in 1 .. {n - 1}, so that a prompt and a response are there, "
                f"got {shortened(self.n_prompt)}"
            )
        object.__setattr__(self, "ids", tuple(self.ids))  # equal and hashable, whatever was given

    @property
    def mask(self) -> list[bool]:
        """Whether the loss counts each token."""
        if self.learned is not None:
            return list(self.learned)
        return [i >= self.n_prompt for i in range(len(self.ids))]


def chat_example(
    tokenizer: BPETokenizer, question: str, answer: str, template: str | None = None
) -> Example:
    """A question and its answer in the tokenizer's chat template; the answer is learned."""
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    return conversation_example(tokenizer, messages, template)


def conversation_example(
    tokenizer: BPETokenizer, messages: Sequence[Message], template: str | None = None
) -> Example:
    """A chat of any number of turns, with or without a system prompt; each answer is learned.

    What the template writes after an answer (the end of the turn) is learned too: without it the
    model would never stop. A control token inside a message is text. What follows the last answer
    is left out. Raises ValueError without an answer, and if the template writes a turn in another
    way when more follow: then make an example of each turn.
    """
    messages = listed(messages)
    marks = marks_for(tokenizer, messages)

    def rendered(n: int, prompt: bool) -> str:
        chosen = tokenizer.chat_template if template is None else template
        given = messages[:n]
        return render_marked(tokenizer, chosen, given, marks, add_generation_prompt=prompt)

    whole, cuts = rendered(len(messages), False), []
    for n, message in enumerate(messages):
        if message["role"] == "assistant":
            begin, end = rendered(n, True), rendered(n + 1, False).rstrip("\n")
            if not (end.startswith(begin) and whole.startswith(end)):
                raise ValueError(
                    f"the template writes message {n} with an answer in another way than alone, "
                    "or than with the messages that follow; end the conversation with an earlier "
                    "answer"
                )
            cuts += [len(begin), len(end)]
    if not cuts:
        raise ValueError("there is nothing to learn: no message has the role 'assistant'")
    texts = [whole[:cut] for cut in cuts]
    heads = [encode_marked(tokenizer, text, marks) for text in texts]
    ids, learned = heads[-1], []
    if any(ids[: len(head)] != head for head in heads):  # a token spans a cut: cut it there,
        pieces = [whole[begin:end] for begin, end in pairwise([0, *cuts])]  # as a prompt ends there
        parts = [encode_marked(tokenizer, piece, marks) for piece in pieces]
        heads = [list(chain(*parts[: n + 1])) for n in range(len(parts))]
        ids = heads[-1]
    for n, head in enumerate(heads):
        learned += [n % 2 == 1] * (len(head) - len(learned))
    return Example(ids, learned=learned)


def check_examples(what: str, examples: Sequence[Example]) -> None:
    """Raise ValueError unless there are examples to `what` (a verb)."""
    if not isinstance(examples, Sequence) or not all(isinstance(e, Example) for e in examples):
        raise ValueError(f"examples must be a list of Example, got {shortened(examples)}")
    if not examples:
        raise ValueError(f"there is nothing to {what}: examples is empty")
