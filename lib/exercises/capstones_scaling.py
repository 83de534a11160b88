"""Capstones of chapters 12 and 14: a model's bill, a reward that trains; 13's is beside it."""

from collections.abc import Callable
from statistics import mean

import numpy as np

from lib.display import claim, show_table
from lib.exercises.capstones_fit import check_my_fit, fit, predict_largest
from lib.exercises.checking import Exercise
from lib.model import ModelConfig
from lib.reasoning.base import load_base
from lib.reasoning.corpus import clean_response
from lib.reasoning.lifecycle import reinforce
from lib.reasoning.task import Problem, draw_problems
from lib.reasoning.verifier import verify

__all__ = [
    "bills",
    "check_my_fit",
    "check_my_report",
    "check_my_reward",
    "fit",
    "predict_largest",
    "report",
    "reward",
]

DAY = 86_400


def report(
    config: ModelConfig,
    positions: int,
    tokens: float,
    speed: float,
    *,
    gates: int = 3,
    tables: Callable = lambda tied: 1 if tied else 2,
    norms: tuple[int, int] = (2, 1),
    products: int = 2,
    head: Callable = lambda tied: 1,
    each: int = 6,
    cached: int = 4,
    heads: str = "kv",
    texts: Callable = lambda positions: 1,
    counted: Callable = lambda flops, parameters, positions: flops,
    seconds: float | int = DAY,
) -> dict[str, float | int]:
    """Parameters, training FLOPs a token, cache bytes of a text, and days of training."""
    c = config
    keys = c.n_heads if heads == "all" else c.n_kv_heads
    matrices = c.d_model * c.d_head * (2 * c.n_heads + 2 * keys) + gates * c.d_model * c.d_ff
    table = c.vocab_size * c.d_model
    gains = (norms[0] * c.n_layers + norms[1]) * c.d_model
    pairs = products * positions * c.n_heads * c.d_head
    flops = each * (c.n_layers * (matrices + pairs) + head(c.tie_embeddings) * table)
    parameters = c.n_layers * matrices + tables(c.tie_embeddings) * table + gains
    return {
        "parameters": parameters,
        "flops": flops * texts(positions),
        "cache": cached * c.n_layers * keys * c.d_head * positions,
        "days": counted(flops, parameters, positions) * tokens / speed / seconds,
    }


def bills(my_report: Callable) -> None:
    """The bill of two models, on 1,000 GPUs that do 400 TFLOP/s each."""
    models = {
        "SmolLM2-135M": (ModelConfig.smollm2_135m(), 2e12),
        "Llama 3 8B": (ModelConfig.llama3_8b(), 15e12),
    }
    rows = []
    for name, (config, tokens) in models.items():
        r = my_report(config, 4096, tokens, 1000 * 400e12)
        rows.append([name, r["parameters"] / 1e9, r["flops"] / 1e9, r["cache"] / 2**20, r["days"]])
    names = ["model", "parameters (10^9)", "GFLOP a token", "cache (MiB)", "days"]
    show_table(rows, names, title="What each costs, on 1,000 GPUs at 400 TFLOP/s")
    claim("Llama 3 8B takes weeks on 1,000 such GPUs", 7 < rows[-1][-1] < 70)


def _configs(seed: int) -> list[tuple]:
    small = ModelConfig(
        vocab_size=50, context_length=32, d_model=8, n_layers=2, n_heads=4, d_ff=20, n_kv_heads=2,
        d_head=4, tie_embeddings=True,
    )  # fmt: skip
    return [
        (small, 16, 1e6, 1e9),
        (small.replace(tie_embeddings=False, n_layers=3), 8, 1e6, 1e9),
        (ModelConfig.smollm2_135m(), 2048 + seed, 2e12, 1e17),
        (ModelConfig.llama3_8b(), 8192, 15e12, 4e17),
    ]


check_my_report = Exercise(
    title="Your own bill of a model",
    reference=report,
    cases=_configs,
    switches={
        "gates": {2: "A gated feed-forward layer has three matrices: gate, up and down."},
        "tables": {
            lambda tied: 2: "A tied head has the embedding's weights: count them once.",
            lambda tied: 1: "A head that is not tied has weights of its own.",
            lambda tied: 1 - tied: "The embedding's table is missing among the parameters.",
        },
        "norms": {
            (0, 0): "The gains of norms are parameters: two a layer, one at the end.",
            (2, 0): "The gain of the last norm is missing.",
            (1, 1): "A layer has two norms.",
        },
        "products": {
            0: "FLOPs: queries with keys, and weights with values, are missing.",
            1: "FLOPs: queries with keys, and weights with values: two products of all pairs.",
        },
        "head": {
            lambda tied: 0: "FLOPs: the head's product is missing.",
            lambda tied: 1 - tied: "FLOPs: a tied head is multiplied too.",
            lambda tied: 2: "FLOPs: the embedding is looked up, not multiplied.",
        },
        "each": {2: "FLOPs of training are three times those of the forward pass.", 3: "FLOPs: a "
                 "multiplication and an addition are two."},
        "cached": {
            2: "Cache: keys and values are both kept, and a number has 2 bytes.",
            1: "Cache: keys and values are both kept, and a number has 2 bytes.",
            8: "Cache: a number has 2 bytes, not 4.",
        },
        "heads": {"all": "Keys and values have n_kv_heads heads, not n_heads."},
        "texts": {lambda positions: positions: "These are the FLOPs of a text: give a token's."},
        "counted": {
            lambda flops, n, t: 6 * n: "Days: it takes 6N, but the FLOPs are counted above.",
            lambda flops, n, t: flops * t: "Days: `tokens` are tokens, not texts.",
        },
        "seconds": {1: "These are seconds: a day has 86,400.", 3600: "These are hours."},
    },
    difficulty=2,
    minutes=25,
    result=bills,
)  # fmt: skip


def reward(
    problem: Problem,
    words: list[str],
    *,
    answer: Callable = lambda v, words, due: v.answer,
    ended: Callable = lambda v, words: 0.1 * v.ended,
    chain: Callable = lambda v, due: 0.5 * v.chain,
    total: Callable = lambda a, e, c, v: a + e + c,
) -> float:
    """1 for the right answer, 0.1 for an end, 0.5 more if every step is right."""
    v = verify(problem, words)
    found = answer(v, words, str(problem.answer))
    return float(total(found, ended(v, words), chain(v, len(problem.operations)), v))


def _responses(seed: int) -> list[tuple]:
    cases = []
    for problem in draw_problems(4, 300 + seed, least=2, most=3):
        good = clean_response(problem)
        off = str((problem.answer + 1) % 10)
        wrong = [*good[:4], str((problem.results[0] + 3) % 10), *good[5:]]
        texts = [good, good[:-1], [*good[:-2], off, good[-1]], wrong, good[-3:], good[:-3], []]
        texts += [[*good, "then"], [*good[1:6], *good[-3:]], [*good[:-3], "hm", good[-1]]]
        texts += [["puis" if word == "then" else word for word in good]]  # two languages
        cases += [(problem, words) for words in texts]
    return cases


def by_length(problem: Problem, words: list[str]) -> float:
    """A reward that can be hacked: a tenth for each word, as if length were thought."""
    return 0.1 * len(words)


def train_with(my_reward: Callable, steps: int = 30, problems: int = 16) -> None:
    """Train the small R1 with `my_reward`, and with a reward that counts words; compare."""
    rows, ends = [], {}
    for name, judge in (("my_reward", my_reward), ("0.1 a word", by_length)):
        kept: list[tuple[float, float, float]] = []

        def note(row: dict, asked: list, responses: list, kept: list = kept) -> None:
            pairs = list(zip(asked, responses, strict=True))
            right = mean(verify(problem, words).answer for problem, words in pairs)
            kept.append((row["reward"], right, mean(len(words) for words in responses)))

        reinforce(load_base(), judge, steps=steps, on_step=note, problems=problems)
        third = max(1, steps // 5)
        begin, end = (np.mean(part, axis=0) for part in (kept[:third], kept[-third:]))
        ends[name] = begin, end
        rows += [[name, "first steps", *begin], [name, "last steps", *end]]
    show_table(
        rows,
        ["reward", "when", "reward", "right answers", "words"],
        title="Reward, share of right answers and words of a response; one run each",
    )
    (b, e), (hb, he) = ends["my_reward"], ends["0.1 a word"]
    claim("in this run my_reward makes right answers more frequent", e[1] > b[1])
    claim("in this run the reward for words grows, with longer responses", he[0] > hb[0])
    claim("and it makes right answers less frequent than my_reward does", he[1] < e[1])


check_my_reward = Exercise(
    title="Your own reward",
    reference=reward,
    cases=_responses,
    switches={
        "answer": {
            lambda v, words, due: 0: "The right answer counts 1.",
            lambda v, words, due: v.answer / 2: "The right answer counts 1, not 0.5.",
            lambda v, words, due: v.answer / 10: "The right answer counts 1, not 0.1.",
            lambda v, words, due: 2 * v.answer - 1: "A wrong answer counts 0, not -1.",
            lambda v, words, due: due in words: "The right digit may stand anywhere in the words: "
            "ask `answer`.",
            lambda v, words, due: [w for w in words if w.isdigit()][-1:] == [due]: "The last digit "
            "need not be the answer: ask `answer`.",
        },
        "ended": {
            lambda v, words: 0: "A response that ends gets 0.1 more.",
            lambda v, words: v.ended: "An end counts 0.1, not 1.",
            lambda v, words: v.ended / 2: "An end counts 0.1, not 0.5.",
            lambda v, words: 0.1 * v.ended - 0.1 * (not v.ended): "A missing end counts 0.",
            lambda v, words: 0.1 * ("<eos>" in words): "Ask `ended`: the end comes last.",
            lambda v, words: 0.1 * (words[-1:] == ["<eos>"]): "Ask `ended`: an answer comes first.",
            lambda v, words: 0.1 * v.ended * v.answer: "An end counts after a wrong answer too.",
        },
        "chain": {
            lambda v, due: 0: "Right steps, all of them, get 0.5 more.",
            lambda v, due: v.chain: "A right chain counts 0.5, not 1.",
            lambda v, due: 0.1 * v.chain: "A right chain counts 0.5, not 0.1.",
            lambda v, due: 0.5 * v.clean: "A clean form may hold wrong steps: ask `chain`.",
            lambda v, due: (
                0.5 * (len(v.steps) == due and all(s.mark == "right" for s in v.steps))
            ): ("A right chain ends in the right answer: ask `chain`."),
            lambda v, due: 0.5 * sum(s.mark == "right" for s in v.steps): "Each right step is "
            "paid: the whole chain counts 0.5, once.",
            lambda v, due: sum(s.mark == "right" for s in v.steps) / due / 2: "The whole chain "
            "counts, not a share of its steps.",
        },
        "total": {
            lambda a, e, c, v: a: "It looks at the answer alone.",
            lambda a, e, c, v: c: "It looks at the chain alone.",
            lambda a, e, c, v: v.clean: "It looks at the format alone: wrong digits can be clean.",
            lambda a, e, c, v: v.length: "It counts words: long responses would hack it.",
            **{
                lambda a, e, c, v, each=each: a + e + c + each * v.length: "Words are paid: nobody "
                "asks for that."
                for each in (0.001, 0.01)
            },
            lambda a, e, c, v: a + e + c - 0.1 * v.mixed: "Mixed languages cost nothing here.",
            lambda a, e, c, v: a + e + c + 0.1 * v.direct: "An answer without steps gets no more.",
            lambda a, e, c, v: (a + e + c) * v.ended: "Without an end the other parts count too.",
            **{
                lambda a, e, c, v, worth=worth: (
                    worth * (v.ended and v.chain)
                ): "It is all or nothing: add the parts."
                for worth in (1, 1.6)
            },
            lambda a, e, c, v: max(a, e, c): "It takes the largest, or cuts off at 1: add all.",
        },
    },
    difficulty=2,
    minutes=20,
    result=train_with,
)
