"""Answers to "The best segmentation" and "Numbers in threes"."""

import math
import random
import re
from functools import cache

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.tokenization"

# --- 4. The best segmentation


def best_segmentation(word, log_probabilities):
    best = [0.0] + [float("-inf")] * len(word)
    origin = [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            if piece in log_probabilities:
                score = best[start] + log_probabilities[piece]
                if score > best[end]:
                    best[end], origin[end] = score, start
    pieces, end = [], len(word)
    while end > 0:
        pieces.append(word[origin[end] : end])
        end = origin[end]
    return pieces[::-1]


def segmentation_cases():
    dice = random.Random(3)
    cases = [
        ("", {"a": -1.0}),
        ("a", {"a": -1.0}),
        ("abc", {"a": -2.0, "b": -2.0, "c": -2.0, "ab": -1.0, "bc": -0.4}),
        ("hugs", {"h": -3.0, "u": -3.0, "g": -3.0, "s": -2.0, "hug": -1.0, "ug": -2.0, "gs": -1.1}),
        ("abcd", {"a": -9.0, "b": -9.0, "c": -9.0, "d": -9.0, "abc": -1.0, "ab": -3.0, "cd": -3.0}),
        ("aa", {"a": -0.1, "aa": -1.0}),
        ("abcdefgh", {**dict.fromkeys("abcdefgh", -5.0), "abcdefgh": -1.5, "abcd": -1.0}),
        ("abab", {"a": -20.0, "b": -30.0, "ab": -20.5, "abab": -100.0, "aba": -20.1}),
    ]
    for _ in range(20):
        pieces = {letter: dice.uniform(-6, -2) for letter in "abc"}
        for _ in range(10):
            pieces["".join(dice.choices("abc", k=dice.randint(2, 5)))] = dice.uniform(-7, -1)
        cases.append(("".join(dice.choices("abc", k=dice.randint(1, 10))), pieces))
    return cases


def all_cuts(word, pieces):
    if not word:
        yield []
    for n in range(1, len(word) + 1):
        if word[:n] in pieces:
            for rest in all_cuts(word[n:], pieces):
                yield [word[:n], *rest]


def viterbi(word, pieces, better=lambda new, old: new > old, longest=None, join=None, start=0.0):
    """A Viterbi search to put slips in."""
    join = join or (lambda total, log_p: total + log_p)
    best, origin = {0: start}, {0: 0}
    for end in range(1, len(word) + 1):
        for begin in range(max(0, end - longest) if longest else 0, end):
            if word[begin:end] in pieces and begin in best:
                score = join(best[begin], pieces[word[begin:end]])
                if end not in best or better(score, best[end]):
                    best[end], origin[end] = score, begin
    result, end = [], len(word)
    while end > 0:
        result.insert(0, word[origin[end] : end])
        end = origin[end]
    return result


wrong, right = exercise(CHECKS, "check_best_segmentation", best_segmentation, segmentation_cases)


@right("recursive from the right, with a cache")
def _(word, log_probabilities):
    @cache
    def best(start):
        if start == len(word):
            return 0.0, ()
        return max(
            (log_probabilities[word[start:end]] + best(end)[0], (word[start:end], *best(end)[1]))
            for end in range(start + 1, len(word) + 1)
            if word[start:end] in log_probabilities
        )

    return list(best(0)[1])


@right("forward, keeps the pieces beside the score")
def _(word, log_probabilities):
    best = [(0.0, [])] + [None] * len(word)
    for start in range(len(word)):
        for piece, log_p in log_probabilities.items():
            end = start + len(piece)
            if word.startswith(piece, start):
                score = best[start][0] + log_p
                if best[end] is None or score > best[end][0]:
                    best[end] = (score, [*best[start][1], piece])
    return best[-1][1]


@right("from right to left, pieces no longer than the longest")
def _(word, log_probabilities):
    n, longest = len(word), max(map(len, log_probabilities))
    best, following = [-math.inf] * n + [0.0], [0] * n
    for start in reversed(range(n)):
        for end in range(start + 1, min(n, start + longest) + 1):
            score = log_probabilities.get(word[start:end], -math.inf) + best[end]
            if score > best[start]:
                best[start], following[start] = score, end
    pieces, at = [], 0
    while at < n:
        pieces.append(word[at : following[at]])
        at = following[at]
    return pieces


wrong("the worst segmentation", lambda w, p: viterbi(w, p, lambda new, old: new < old))
wrong("keeps the last found", lambda w, p: viterbi(w, p, lambda new, old: True))
wrong("keeps the first found", lambda w, p: viterbi(w, p, lambda new, old: False))
wrong("pieces of at most two letters", lambda w, p: viterbi(w, p, longest=2))
wrong("pieces of at most four letters", lambda w, p: viterbi(w, p, longest=4))
wrong(
    "multiplies log-probabilities", lambda w, p: viterbi(w, p, join=lambda t, s: t * s, start=1.0)
)
wrong("adds probabilities", lambda w, p: viterbi(w, p, join=lambda t, s: t + math.exp(s)))
wrong("looks at the last piece alone", lambda w, p: viterbi(w, p, join=lambda t, s: s))
wrong("the fewest pieces", lambda w, p: viterbi(w, p, join=lambda t, s: t - 1))
wrong("the order of the pieces is reversed", lambda w, p: best_segmentation(w, p)[::-1])
wrong(
    "the highest mean per piece",
    lambda w, p: max(all_cuts(w, p), key=lambda c: sum(map(p.get, c)) / max(len(c), 1)),
)
wrong(
    "enumerates all ways to cut",
    lambda w, p: max(all_cuts(w, p), key=lambda c: sum(map(p.get, c))),
    rule=True,
)


@wrong("plain recursion without a cache, exponential", rule=True)
def _(word, log_probabilities):
    def best(rest):
        if not rest:
            return 0.0, []
        found = []
        for n in range(1, len(rest) + 1):
            if rest[:n] in log_probabilities:
                score, pieces = best(rest[n:])
                found.append((score + log_probabilities[rest[:n]], [rest[:n], *pieces]))
        return max(found)

    return best(word)[1]


@wrong("greedy: the longest piece first")
def _(word, log_probabilities):
    pieces = []
    while word:
        n = max(n for n in range(1, len(word) + 1) if word[:n] in log_probabilities)
        pieces.append(word[:n])
        word = word[n:]
    return pieces


@wrong("greedy: the likeliest piece first")
def _(word, log_probabilities):
    pieces = []
    while word:
        known = [word[:n] for n in range(1, len(word) + 1) if word[:n] in log_probabilities]
        pieces.append(max(known, key=log_probabilities.get))
        word = word[len(pieces[-1]) :]
    return pieces


@wrong("never takes the whole word as one piece")
def _(word, log_probabilities):
    if len(word) < 2:
        return [word] if word else []
    return best_segmentation(word, {k: v for k, v in log_probabilities.items() if k != word})


@wrong("starts the best scores at -10, which long words fall below")
def _(word, log_probabilities):
    best, origin = [0.0] + [-10.0] * len(word), [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for start in range(end):
            if word[start:end] in log_probabilities:
                score = best[start] + log_probabilities[word[start:end]]
                if score > best[end]:
                    best[end], origin[end] = score, start
    pieces, end = [], len(word)
    while end > 0:
        pieces.append(word[origin[end] : end])
        end = origin[end]
    return pieces[::-1]


@wrong("forgets the last piece when walking back")
def _(word, log_probabilities):
    return best_segmentation(word, log_probabilities)[1:]


wrong("returns the score", lambda w, p: sum(p[x] for x in best_segmentation(w, p)))
wrong("returns a string", lambda w, p: " ".join(best_segmentation(w, p)))
wrong("fails on an empty word", lambda w, p: best_segmentation(w, p) or [p[w]])
wrong("cuts into letters", lambda w, p: list(w))
wrong(
    "both: greedy by length and reversed",
    lambda w, p: viterbi(w, p, lambda new, old: False)[::-1],
)
wrong(
    "both: the worst segmentation and pieces of at most two letters",
    lambda w, p: viterbi(w, p, lambda new, old: new < old, longest=2),
)


@wrong("returns the score too")
def _(word, log_probabilities):
    pieces = best_segmentation(word, log_probabilities)
    return pieces, sum(map(log_probabilities.get, pieces))


@wrong("lets the best sum of each position begin at 0, which nothing beats")
def _(word, log_probabilities):
    best, last = [0.0] * (len(word) + 1), [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for start in range(end):
            score = log_probabilities.get(word[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end], last[end] = best[start] + score, start
    pieces, end = [], len(word)
    while end:
        pieces, end = [word[last[end] : end], *pieces], last[end]
    return pieces


@wrong("compares means over the pieces, not sums")
def _(word, log_probabilities):
    best = [(0.0, [])]
    for end in range(1, len(word) + 1):
        ways = [
            (
                best[start][0] + log_probabilities[word[start:end]],
                [*best[start][1], word[start:end]],
            )
            for start in range(end)
            if word[start:end] in log_probabilities
        ]
        best.append(max(ways, key=lambda way: way[0] / len(way[1])))
    return best[-1][1]


# --- 5. Numbers in threes


def split_threes(text):
    return re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|\D+", text)


def text_cases():
    dice = random.Random(4)
    cases = [
        "", "1234567", "12", "123", "1234", "123456", "no digits", "a1234b", "12345 and 67890.",
        "3.14159", "1,234,567", "2024-11-26", " 1234 ", "a\nb1234567\n\n89", "00012345", "x1y22z333",
        "-1234567", "1e10", "wide \n 1000000\t5", "_1234_", "١٢٣٤٥", "1 2345 678901", "é1234ü",
    ]  # fmt: skip
    cases += ["".join(dice.choices("0123456789ab .\n", k=14)) for _ in range(12)]
    return [(case,) for case in cases]


wrong, right = exercise(CHECKS, "check_split_threes", split_threes, text_cases)


def in_runs(text, cut):
    """Each run of digits goes through `cut`, the rest stays."""
    pieces = []
    for run in re.findall(r"\d+|\D+", text):
        pieces += cut(run) if run[0].isdigit() else [run]
    return pieces


def from_right(run):
    first = len(run) % 3
    return [run[:first]] * bool(first) + [run[i : i + 3] for i in range(first, len(run), 3)]


right("runs, then slices from the remainder", lambda text: in_runs(text, from_right))


@right("a loop over characters")
def _(text):
    pieces, i = [], 0
    while i < len(text):
        j = i
        digit = text[i].isdecimal()
        while j < len(text) and text[j].isdecimal() == digit:
            j += 1
        run = text[i:j]
        if not digit:
            pieces.append(run)
        else:
            groups = []
            while run:
                groups.insert(0, run[-3:])
                run = run[:-3]
            pieces += groups
        i = j
    return pieces


@right("re.split with a look-ahead inside numbers")
def _(text):
    found = []
    for piece in re.split(r"(\d+)", text):
        if piece and piece[0].isdigit():
            found += re.split(r"(?<=\d)(?=(?:\d{3})+$)", piece)
        elif piece:
            found.append(piece)
    return found


@right("the text reversed, cut from the left, and reversed again")
def _(text):
    return [piece[::-1] for piece in re.findall(r"\d{1,3}|\D+", text[::-1])][::-1]


wrong("groups from the left", lambda text: re.findall(r"\d{1,3}|\D+", text))
wrong("groups of two", lambda text: re.findall(r"\d{1,2}(?=(?:\d{2})*(?!\d))|\D+", text))
wrong("groups of four", lambda text: re.findall(r"\d{1,4}(?=(?:\d{4})*(?!\d))|\D+", text))
wrong("drops what is not a digit", lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))", text))
wrong(
    "cuts the text between numbers into characters",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|\D", text),
)
wrong(
    "cuts the text between numbers at spaces",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|[^\d\s]+", text),
)
wrong(
    "drops groups that are not full",
    lambda text: re.findall(r"\d{3}(?=(?:\d{3})*(?!\d))|\D+", text),
)
wrong("keeps numbers whole", lambda text: re.findall(r"\d+|\D+", text))
wrong("each digit alone", lambda text: re.findall(r"\d|\D+", text))
wrong(
    "the groups of a number in reverse order",
    lambda text: in_runs(text, lambda run: from_right(run)[::-1]),
)
wrong(
    "an empty piece before numbers of full groups",
    lambda text: in_runs(text, lambda run: [run[: len(run) % 3]] + from_right(run[len(run) % 3 :])),
)
wrong(
    "only numbers that end the text",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*$)|\d+|\D+", text),
)
wrong(
    "look-ahead without its end, so it never looks",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*)|\D+", text),
)
wrong(
    "asks for one more group at least",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})+(?!\d))|\D+", text),
)
wrong("puts commas in", lambda text: re.sub(r"\d+", lambda m: f"{int(m[0]):,}", text))
wrong(
    "loses leading zeros",
    lambda text: in_runs(text, lambda run: f"{int(run):,}".split(",")),
)
wrong(
    "takes only letters for text, a dot stops at a line break",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|(?:(?!\d).)+", text),
)
wrong(
    "strips spaces from the pieces",
    lambda text: [p.strip() for p in split_threes(text) if p.strip()],
)
wrong("joined with spaces", lambda text: " ".join(split_threes(text)))
wrong(
    "all digits of the text as one number",
    lambda text: from_right(re.sub(r"\D", "", text)) + re.findall(r"\D+", text),
)
wrong(
    "a group reaches over the text between numbers",
    lambda text: re.findall(r"\d{1,3}(?=(?:\d{3})*\D*$)|\D+|\d", text),
)
wrong(
    "both: from the left and without the text between",
    lambda text: re.findall(r"\d{1,3}", text),
)
wrong(
    "both: groups of two and the text cut into characters",
    lambda text: re.findall(r"\d{1,2}(?=(?:\d{2})*(?!\d))|\D", text),
)


wrong(
    "takes a minus sign for a part of the number",
    lambda text: re.findall(r"-?\d{1,3}(?=(?:\d{3})*(?!\d))|[^\d-]+|-", text),
)
wrong(
    "loses zeros at the front of groups",
    lambda text: [str(int(p)) if p.isdecimal() else p for p in split_threes(text)],
)
