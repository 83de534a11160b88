"""A third blind reading, of chapter 1: slips that the first two did not make."""

import math
import re
from collections import Counter
from functools import partial
from itertools import pairwise

import numpy as np

from tests.exercises.answers import _note

# --- One merge


def counted(words, weight=lambda count, word: count, pairs=lambda word: zip(word, word[1:])):
    counts = Counter()
    for word, count in words.items():
        for pair in pairs(word):
            counts[pair] += weight(count, word)
    return counts


def joined(word, pair):
    merged = []
    for token in word:
        if merged and (merged[-1], token) == pair and merged[-1] is not None:
            merged[-1] += token
        else:
            merged.append(token)
    return tuple(merged)


def walked(word, pair, made=None):
    merged, i = [], 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            merged.append(made or "".join(pair))
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def most_frequent(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


wrong, right = (
    partial(_note, "check_merge_once", "wrong"),
    partial(_note, "check_merge_once", "right"),
)


@wrong("counts a pair once for each word that has it")
def _(words):
    best = most_frequent(counted(words, pairs=lambda w: set(zip(w, w[1:]))))
    return {walked(word, best): count for word, count in words.items()}


@wrong("max of (count, pair): the largest pair of a tie")
def _(words):
    counts = counted(words)
    best = max((count, pair) for pair, count in counts.items())[1]
    return {walked(word, best): count for word, count in words.items()}


@wrong("Counter.most_common, the first seen of a tie")
def _(words):
    best = counted(words).most_common(1)[0][0]
    return {walked(word, best): count for word, count in words.items()}


@wrong("replaces in the joined text and cuts it into letters")
def _(words):
    best = most_frequent(counted(words))
    return {
        tuple(re.findall(re.escape("".join(best)) + "|.", "".join(word))): count
        for word, count in words.items()
    }


@wrong("drops words in which nothing is merged")
def _(words):
    best = most_frequent(counted(words))
    return {
        walked(word, best): count
        for word, count in words.items()
        if best in set(zip(word, word[1:]))
    }


@wrong("merges the first place of each word alone")
def _(words):
    best, result = most_frequent(counted(words)), {}
    for word, count in words.items():
        places = [i for i in range(len(word) - 1) if word[i : i + 2] == best][:1]
        for i in places:
            word = (*word[:i], "".join(best), *word[i + 2 :])
        result[word] = count
    return result


@wrong("a tie is decided by the joined text")
def _(words):
    counts = counted(words)
    best = min(counts, key=lambda pair: (-counts[pair], "".join(pair)))
    return {walked(word, best): count for word, count in words.items()}


@wrong("goes on to merge until no pair comes twice")
def _(words):
    while True:
        counts = counted(words)
        if not counts or max(counts.values()) < 2:
            return words
        best = most_frequent(counts)
        words = {walked(word, best): count for word, count in words.items()}


@wrong("loses the last token when it is not merged")
def _(words):
    best, result = most_frequent(counted(words)), {}
    for word, count in words.items():
        merged, i = [], 0
        while i < len(word) - 1:
            if word[i : i + 2] == best:
                merged.append("".join(best))
                i += 2
            else:
                merged.append(word[i])
                i += 1
        result[tuple(merged)] = count
    return result


@wrong("does not skip the second token of a merged pair")
def _(words):
    best, result = most_frequent(counted(words)), {}
    for word, count in words.items():
        merged = []
        for i, token in enumerate(word):
            merged.append("".join(best) if word[i : i + 2] == best else token)
        result[tuple(merged)] = count
    return result


@wrong("adds 1 to the count of each merged word")
def _(words):
    best = most_frequent(counted(words))
    return {
        walked(word, best): count + (best in set(pairwise(word))) for word, count in words.items()
    }


@wrong("lists of the merged words as strings with spaces")
def _(words):
    best = most_frequent(counted(words))
    return {" ".join(walked(word, best)): count for word, count in words.items()}


@right("on lists, from the left by index")
def _(words):
    best = sorted(counted(words).items(), key=lambda item: (-item[1], item[0]))[0][0]
    result = {}
    for word, count in words.items():
        tokens, i = list(word), 0
        while i + 1 < len(tokens):
            if (tokens[i], tokens[i + 1]) == best:
                tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
            i += 1
        result[tuple(tokens)] = count
    return result


@right("with separators and str.replace")
def _(words):
    counts = counted(words)
    top = max(counts.values())
    a, b = min(pair for pair, count in counts.items() if count == top)
    result = {}
    for word, count in words.items():
        text = "\0" + "\0\0".join(word) + "\0"
        text = text.replace(f"\0{a}\0\0{b}\0", f"\0{a}{b}\0")
        result[tuple(text[1:-1].split("\0\0"))] = count
    return result


@right("recursive")
def _(words):
    best = most_frequent(counted(words))

    def merge(word):
        if len(word) < 2:
            return word
        if word[:2] == best:
            return ("".join(best), *merge(word[2:]))
        return (word[0], *merge(word[1:]))

    return {merge(word): count for word, count in words.items()}


# --- Encode by rank

wrong, right = (
    partial(_note, "check_encode_by_rank", "wrong"),
    partial(_note, "check_encode_by_rank", "right"),
)


def encoded(word, merges, choose=min, most=10**9, joins=True):
    rank, tokens = {pair: i for i, pair in enumerate(merges)}, list(word)
    while most:
        known = [(rank[p], i) for i, p in enumerate(zip(tokens, tokens[1:])) if p in rank]
        if not known:
            break
        _, i = choose(known)
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
        most -= 1
    return tokens


@wrong("one pass over the word, merging as it goes")
def _(word, merges):
    tokens = []
    for letter in word:
        tokens.append(letter)
        while len(tokens) > 1 and (tokens[-2], tokens[-1]) in merges:
            tokens[-2:] = [tokens[-2] + tokens[-1]]
    return tokens


@wrong("each merge of the list once, its first place alone")
def _(word, merges):
    tokens = list(word)
    for pair in merges:
        for i in range(len(tokens) - 1):
            if (tokens[i], tokens[i + 1]) == pair:
                tokens[i : i + 2] = ["".join(pair)]
                break
    return tokens


@wrong("stops after one merge")
def _(word, merges):
    return encoded(word, merges, most=1)


@wrong("the rightmost of equal pairs")
def _(word, merges):
    return encoded(word, merges, choose=lambda known: min(known, key=lambda k: (k[0], -k[1])))


@wrong("the leftmost known pair, whatever its rank")
def _(word, merges):
    return encoded(word, merges, choose=lambda known: min(known, key=lambda k: k[1]))


@wrong("an empty word gives an empty text")
def _(word, merges):
    return encoded(word, merges) or [""]


@wrong("does not merge at the end of the word")
def _(word, merges):
    rank, tokens = {pair: i for i, pair in enumerate(merges)}, list(word)
    while True:
        known = [
            (rank[tokens[i], tokens[i + 1]], i)
            for i in range(len(tokens) - 2)
            if (tokens[i], tokens[i + 1]) in rank
        ]
        if not known:
            return tokens
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


@wrong("greedy: the longest token first")
def _(word, merges):
    tokens = {a + b for a, b in merges}
    result = []
    while word:
        n = next((n for n in range(len(word), 1, -1) if word[:n] in tokens), 1)
        result.append(word[:n])
        word = word[n:]
    return result


@wrong("looks up the joined text of the pair, so any cut of it merges")
def _(word, merges):
    rank, tokens = {a + b: i for i, (a, b) in enumerate(merges)}, list(word)
    while True:
        known = [
            (rank[a + b], i) for i, (a, b) in enumerate(zip(tokens, tokens[1:])) if a + b in rank
        ]
        if not known:
            return tokens
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


@wrong("rank 0 is taken for none")
def _(word, merges):
    rank, tokens = {pair: i for i, pair in enumerate(merges)}, list(word)
    while True:
        known = [(rank.get(p), i) for i, p in enumerate(zip(tokens, tokens[1:])) if rank.get(p)]
        if not known:
            return tokens
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


@wrong("returns the tokens joined by spaces")
def _(word, merges):
    return " ".join(encoded(word, merges))


@wrong("returns the ranks of the merges made")
def _(word, merges):
    rank = {a + b: i for i, (a, b) in enumerate(merges)}
    return [rank.get(token, -1) for token in encoded(word, merges)]


@right("the merges in order, each everywhere from the left")
def _(word, merges):
    tokens = tuple(word)
    for pair in merges:
        tokens = walked(tokens, pair)
    return list(tokens)


@right("recursive, on strings with separators")
def _(word, merges):
    def step(tokens):
        known = [p for p in merges if p in set(zip(tokens, tokens[1:]))]
        if not known:
            return tokens
        i = next(i for i in range(len(tokens)) if tuple(tokens[i : i + 2]) == known[0])
        return step([*tokens[:i], tokens[i] + tokens[i + 1], *tokens[i + 2 :]])

    return step([*word])


@right("a tuple is returned")
def _(word, merges):
    return tuple(encoded(word, merges))


# --- The WordPiece score

wrong, right = (
    partial(_note, "check_wordpiece_scores", "wrong"),
    partial(_note, "check_wordpiece_scores", "right"),
)


def scores(words, token_count=None, formula=lambda n, a, b: n / (a * b)):
    tokens = Counter()
    for word, count in words.items():
        for token in word:
            tokens[token] += count
    tokens = token_count or tokens
    return {(a, b): formula(n, tokens[a], tokens[b]) for (a, b), n in counted(words).items()}


wrong("min of the counts, squared", lambda w: scores(w, formula=lambda n, a, b: n / min(a, b) ** 2))
wrong("max of the counts, squared", lambda w: scores(w, formula=lambda n, a, b: n / max(a, b) ** 2))
wrong(
    "divides by the first count, then multiplies",
    lambda w: scores(w, None, lambda n, a, b: n / a * b),
)
wrong(
    "the count squared over the product",
    lambda w: scores(w, formula=lambda n, a, b: n * n / (a * b)),
)
wrong("divides by the sum", lambda w: scores(w, formula=lambda n, a, b: n / (a + b)))
wrong("the logarithm", lambda w: scores(w, formula=lambda n, a, b: math.log(n / (a * b))))
wrong("rounded to four digits", lambda w: scores(w, formula=lambda n, a, b: round(n / (a * b), 4)))
wrong(
    "sums over both orders",
    lambda w: {p: v + scores(w).get(p[::-1], 0) * (p[0] != p[1]) for p, v in scores(w).items()},
)


@wrong("tokens are counted in words that have a pair")
def _(words):
    tokens = Counter()
    for word, count in words.items():
        if len(word) > 1:
            for token in word:
                tokens[token] += count
    return scores(words, tokens)


@wrong("a token counts once a word")
def _(words):
    tokens = Counter()
    for word, count in words.items():
        for token in set(word):
            tokens[token] += count
    return scores(words, tokens)


@wrong("the last token of a word is not counted")
def _(words):
    tokens = Counter()
    for word, count in words.items():
        for token in word[:-1]:
            tokens[token] += count
    tokens.update({token: 0 for word in words for token in word})
    return scores(words, tokens, lambda n, a, b: n / max(a * b, 1))


@wrong("letters are counted, not tokens")
def _(words):
    letters = Counter()
    for word, count in words.items():
        for letter in "".join(word):
            letters[letter] += count
    tokens = {token: letters[token] or 1 for word in words for token in word}
    return scores(words, tokens)


@wrong("the best pair alone")
def _(words):
    found = scores(words)
    return max(found, key=found.get)


@right("with loops over counts of all pairs of positions")
def _(words):
    result = {}
    flat = [(w, c) for w, c in words.items()]
    for word, _ in flat:
        for a, b in pairwise(word):
            n = sum(c * sum(p == (a, b) for p in pairwise(w)) for w, c in flat)
            na, nb = (sum(c * w.count(x) for w, c in flat) for x in (a, b))
            result[a, b] = n / na / nb
    return result


@right("through logarithms, numpy")
def _(words):
    return {p: np.exp(np.log(v)) for p, v in scores(words).items()}


@right("through the conditional probability")
def _(words):
    return scores(words, formula=lambda n, a, b: (n / a) * (1 / b))


# --- The best segmentation

wrong, right = (
    partial(_note, "check_best_segmentation", "wrong"),
    partial(_note, "check_best_segmentation", "right"),
)


def viterbi(word, pieces, value=lambda p: p, first=0, keep=lambda new, old: new > old, last=None):
    n = len(word)
    best, origin = [0.0] + [-math.inf] * n, [0] * (n + 1)
    for end in range(1, n + 1):
        for start in range(first, end):
            piece = word[start:end]
            if piece in pieces:
                score = best[start] + value(pieces[piece])
                if keep(score, best[end]):
                    best[end], origin[end] = score, start
    result, end = [], n
    while end > 0:
        result.append(word[origin[end] : end])
        end = origin[end]
    return result[::-1]


@wrong("the mean log-probability a piece")
def _(word, log_probabilities):
    best = [(0.0, 0, [])] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            if word[start:end] in log_probabilities:
                total, n, pieces = best[start]
                total, n = total + log_probabilities[word[start:end]], n + 1
                if best[end] is None or total / n > best[end][0] / best[end][1]:
                    best[end] = (total, n, [*pieces, word[start:end]])
    return best[-1][2]


@wrong("the mean log-probability a letter of each piece")
def _(word, log_probabilities):
    return viterbi(word, {k: v / len(k) for k, v in log_probabilities.items()})


@wrong("the sum weighted by the piece's length")
def _(word, log_probabilities):
    return viterbi(word, {k: v * len(k) for k, v in log_probabilities.items()})


wrong("probabilities multiplied by two, then summed", lambda w, p: viterbi(w, p, lambda v: 2**v))
wrong("returns positions of the cuts", lambda w, p: [*np.cumsum([len(x) for x in viterbi(w, p)])])
wrong("the pieces with spaces", lambda w, p: " ".join(viterbi(w, p)))
wrong("the score too", lambda w, p: (viterbi(w, p), sum(p[x] for x in viterbi(w, p))))


@wrong("greedy from the right: the longest piece that ends there")
def _(word, log_probabilities):
    pieces = []
    while word:
        n = max(n for n in range(1, len(word) + 1) if word[-n:] in log_probabilities)
        pieces.insert(0, word[-n:])
        word = word[:-n]
    return pieces


@wrong("pieces may not begin at the first letter unless they are one letter")
def _(word, log_probabilities):
    return [word[:1], *viterbi(word[1:], log_probabilities)] if word else []


@wrong("the last piece is forgotten when it is walked back")
def _(word, log_probabilities):
    return viterbi(word, log_probabilities)[:-1] or list(word)


@wrong("splits in two at the best place, once")
def _(word, log_probabilities):
    if not word:
        return []
    options = [[word]] if word in log_probabilities else []
    options += [
        [word[:i], word[i:]]
        for i in range(1, len(word))
        if word[:i] in log_probabilities and word[i:] in log_probabilities
    ]
    return max(options, key=lambda o: sum(map(log_probabilities.get, o)), default=list(word))


@wrong("merges the best pair of letters greedily")
def _(word, log_probabilities):
    tokens = list(word)
    while True:
        gains = [
            (log_probabilities[a + b] - log_probabilities[a] - log_probabilities[b], -i)
            for i, (a, b) in enumerate(zip(tokens, tokens[1:]))
            if a + b in log_probabilities
        ]
        if not gains or max(gains)[0] <= 0:
            return tokens
        i = -max(gains)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


right("of equal sums the last found", lambda w, p: viterbi(w, p, keep=lambda new, old: new >= old))


@right("numpy arrays for the scores")
def _(word, log_probabilities):
    n = len(word)
    best, origin = np.full(n + 1, -np.inf), np.zeros(n + 1, int)
    best[0] = 0
    for end in range(1, n + 1):
        tries = np.array(
            [best[s] + log_probabilities.get(word[s:end], -np.inf) for s in range(end)]
        )
        origin[end] = tries.argmax()
        best[end] = tries.max()
    pieces, end = [], n
    while end:
        pieces.append(word[origin[end] : end])
        end = origin[end]
    return pieces[::-1]


@right("Dijkstra over positions, negative log-probabilities as lengths")
def _(word, log_probabilities):
    import heapq

    shift = max(log_probabilities.values(), default=0.0)
    costs = {k: -v for k, v in log_probabilities.items()}
    queue, done = [(0.0, 0, ())], {}
    if shift > 0:
        return viterbi(word, log_probabilities)
    while queue:
        cost, at, pieces = heapq.heappop(queue)
        if at in done:
            continue
        done[at] = pieces
        if at == len(word):
            return list(pieces)
        for end in range(at + 1, len(word) + 1):
            if word[at:end] in costs:
                heapq.heappush(queue, (cost + costs[word[at:end]], end, (*pieces, word[at:end])))
    return []


# --- Numbers in threes

wrong, right = (
    partial(_note, "check_split_threes", "wrong"),
    partial(_note, "check_split_threes", "right"),
)


def threes(text, cut):
    return [
        p for run in re.findall(r"\d+|\D+", text) for p in (cut(run) if run[0].isdigit() else [run])
    ]


def from_right(run):
    first = len(run) % 3
    return [run[:first]] * (first > 0) + [run[i : i + 3] for i in range(first, len(run), 3)]


wrong(
    "an empty group where the length is a multiple of three",
    lambda t: threes(
        t, lambda r: [r[: len(r) % 3]] + [r[i : i + 3] for i in range(len(r) % 3, len(r), 3)]
    ),
)
wrong("from the left", lambda t: threes(t, lambda r: [r[i : i + 3] for i in range(0, len(r), 3)]))
wrong("the groups in reverse order", lambda t: threes(t, lambda r: from_right(r)[::-1]))
wrong(
    "single digits where a run is longer than three",
    lambda t: threes(t, lambda r: list(r) if len(r) > 3 else [r]),
)
wrong(
    "a space goes to the number that follows",
    lambda t: re.findall(r" ?\d{1,3}(?=(?:\d{3})*(?!\d))|\D+?(?= ?\d|$)", t),
)
wrong(
    "cuts at spaces first",
    lambda t: [p for w in re.split(r"( )", t) if w for p in threes(w, from_right)],
)
wrong(
    "only the first number is cut",
    lambda t: (
        threes(t, from_right)
        if len(re.findall(r"\d+", t)) < 2
        else [
            *threes(re.match(r"\D*\d+", t)[0], from_right),
            *re.findall(r"\d+|\D+", t[re.match(r"\D*\d+", t).end() :]),
        ]
    ),
)
wrong(
    "four digits stay together, as years do",
    lambda t: threes(t, lambda r: [r] if len(r) == 4 else from_right(r)),
)
wrong(
    "numbers without what is between them",
    lambda t: [p for p in threes(t, from_right) if p.isdigit()],
)
wrong(
    "no text between for the last piece",
    lambda t: (
        re.findall(r"\D+|\d{1,3}(?=(?:\d{3})*\D)", t + "x")[: None if t[-1:].isdigit() else -1]
        if t
        else []
    ),
)
wrong("[''] for an empty text", lambda t: threes(t, from_right) or [""])
wrong(
    "words and spaces apart", lambda t: re.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|\s+|[^\d\s]+", t)
)
wrong("with commas", lambda t: threes(t, lambda r: [f"{int(r):,}"]))
wrong(
    "the whole text counted from its right end",
    lambda t: re.findall(r"\d{1,3}(?=(?:\d{3})*$)|\D+|\d", t),
)


@right("format with commas for digits, via reversed text")
def _(text):
    return [p[::-1] for p in re.findall(r"\d{1,3}|\D+", text[::-1])][::-1]


@right("itertools.groupby")
def _(text):
    from itertools import groupby

    result = []
    for digits, run in groupby(text, str.isdigit):
        run = "".join(run)
        result += from_right(run) if digits else [run]
    return result


@right("letter by letter from the end")
def _(text):
    pieces = []
    for c in reversed(text):
        if (
            pieces
            and c.isdigit() == pieces[0][0].isdigit()
            and (not c.isdigit() or len(pieces[0]) < 3)
        ):
            pieces[0] = c + pieces[0]
        else:
            pieces.insert(0, c)
    return pieces
