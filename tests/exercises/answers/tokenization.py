"""Answers to "One merge", "Encode by rank" and "The WordPiece score"."""

import random
from collections import Counter, defaultdict
from itertools import pairwise

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.tokenization"


def pair_counts(words, weighted=True, once=False):
    counts = Counter()
    for word, count in words.items():
        pairs = list(zip(word, word[1:], strict=False))
        for pair in set(pairs) if once else pairs:
            counts[pair] += count if weighted else 1
    return counts


def join(word, best):
    result, i = [], 0
    while i < len(word):
        step = 2 if tuple(word[i : i + 2]) == best else 1
        result.append("".join(word[i : i + step]))
        i += step
    return tuple(result)


def merge_all(words, best):
    return {join(word, best): count for word, count in words.items()}


def smallest(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


# --- 1. One merge


def merge_once(words):
    counts = {}
    for word, count in words.items():
        for pair in zip(word, word[1:], strict=False):
            counts[pair] = counts.get(pair, 0) + count
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    result = {}
    for word, count in words.items():
        merged, i = [], 0
        while i < len(word):
            step = 2 if word[i : i + 2] == best else 1
            merged.append("".join(word[i : i + step]))
            i += step
        result[tuple(merged)] = count
    return result


def word_cases():
    dice = random.Random(1)
    cases = [
        {("l", "o", "w"): 5, ("l", "o", "t"): 2, ("n", "e", "w"): 6, ("w", "i", "d", "e"): 3},
        {("a", "a", "a", "a", "a"): 3, ("b", "a"): 1},
        {("a", "a", "a"): 2, ("b", "c"): 3, ("c", "b", "c"): 1},
        {("b", "c"): 2, ("a", "d"): 2},
        {("a", "d"): 2, ("b", "c"): 2},
        {("ha", "b", "ha", "b"): 2, ("a", "b"): 3},
        {("a", "b", "c"): 1, ("ab", "c"): 1, ("a", "bc"): 2},
        {("x",): 9, ("a", "b"): 1},
        {("a",): 4, ("a", "b"): 1},
        {("a", "bc"): 2, ("ab", "b"): 2},
        {("a", "b", "a", "b"): 2, ("b", "c"): 3},
    ]
    for _ in range(12):
        letters = ["a", "b", "c", "ab", "ca"]
        words = [tuple(dice.choices(letters, k=dice.randint(2, 7))) for _ in range(5)]
        cases.append({word: dice.randint(1, 9) for word in words})
    return [(case,) for case in cases]


wrong, right = exercise(CHECKS, "check_merge_once", merge_once, word_cases)


@right("Counter, and a list that grows")
def _(words):
    counts = Counter()
    for word, n in words.items():
        for left, following in pairwise(word):
            counts[left, following] += n
    top = max(counts.values())
    best = sorted(pair for pair in counts if counts[pair] == top)[0]
    result = {}
    for word, n in words.items():
        out = []
        skip = False
        for i, token in enumerate(word):
            if skip:
                skip = False
            elif i + 1 < len(word) and (token, word[i + 1]) == best:
                out.append(token + word[i + 1])
                skip = True
            else:
                out.append(token)
        result[tuple(out)] = n
    return result


@right("deletes in a copied list")
def _(words):
    counts = defaultdict(int)
    for word, n in words.items():
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] += n
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[0][0]
    result = {}
    for word, n in words.items():
        tokens, i = list(word), 0
        while i < len(tokens) - 1:
            if (tokens[i], tokens[i + 1]) == best:
                tokens[i] += tokens.pop(i + 1)
            i += 1
        result[tuple(tokens)] = n
    return result


@right("a recursive merge")
def _(words):
    best = smallest(pair_counts(words))

    def merge(word):
        if len(word) < 2:
            return word
        if word[:2] == best:
            return (word[0] + word[1], *merge(word[2:]))
        return (word[0], *merge(word[1:]))

    return {merge(word): count for word, count in words.items()}


wrong("counts each word once", lambda words: merge_all(words, smallest(pair_counts(words, False))))
wrong(
    "counts a pair once per word",
    lambda words: merge_all(words, smallest(pair_counts(words, once=True))),
)
wrong(
    "takes the first seen of equal pairs",
    lambda words: merge_all(words, max(pair_counts(words), key=pair_counts(words).get)),
)
wrong(
    "takes the largest of equal pairs",
    lambda words: merge_all(words, max((n, p) for p, n in pair_counts(words).items())[1]),
)
wrong(
    "takes the rarest pair",
    lambda words: merge_all(words, min((n, p) for p, n in pair_counts(words).items())[1]),
)
wrong(
    "breaks ties by the joined text",
    lambda words: merge_all(
        words,
        (lambda c: min(c, key=lambda p: (-c[p], "".join(p), p[::-1])))(pair_counts(words)),
    ),
)


@wrong("merges only the first place in a word")
def _(words):
    best = smallest(pair_counts(words))
    result = {}
    for word, n in words.items():
        for i in range(len(word) - 1):
            if word[i : i + 2] == best:
                word = (*word[:i], "".join(best), *word[i + 2 :])
                break
        result[word] = n
    return result


@wrong("replaces in the joined string, so across tokens")
def _(words):
    best = smallest(pair_counts(words))
    result = {}
    for word, n in words.items():
        text = " ".join(word).replace(" ".join(best), "".join(best))
        result[tuple(text.split(" "))] = n
    return result


@wrong("does not skip the second token after a merge")
def _(words):
    best = smallest(pair_counts(words))
    result = {}
    for word, n in words.items():
        out = [a + b if (a, b) == best else a for a, b in zip(word, word[1:], strict=False)]
        result[(*out, word[-1])] = n
    return result


@wrong("forgets the last token of a word")
def _(words):
    best = smallest(pair_counts(words))
    result = {}
    for word, n in words.items():
        out, i = [], 0
        while i < len(word) - 1:
            if word[i : i + 2] == best:
                out.append(word[i] + word[i + 1])
                i += 2
            else:
                out.append(word[i])
                i += 1
        result[tuple(out)] = n
    return result


@wrong("merges from the right")
def _(words):
    best = smallest(pair_counts(words))
    result = {}
    for word, n in words.items():
        tokens, i = list(word), len(word) - 2
        while i >= 0:
            if (tokens[i], tokens[i + 1]) == best:
                tokens[i : i + 2] = ["".join(best)]
                i -= 1
            i -= 1
        result[tuple(tokens)] = n
    return result


@wrong("returns only the words that changed")
def _(words):
    best = smallest(pair_counts(words))
    return {join(w, best): n for w, n in words.items() if join(w, best) != w}


wrong(
    "returns strings for keys",
    lambda words: {
        " ".join(w): n for w, n in merge_all(words, smallest(pair_counts(words))).items()
    },
)
wrong("returns the pair, not the words", lambda words: smallest(pair_counts(words)))
wrong("returns counts of 1", lambda words: dict.fromkeys(merge_once(words), 1))


@wrong("changes the dictionary it was given")
def _(words):
    best = smallest(pair_counts(words))
    for word in list(words):
        words[join(word, best)] = words.pop(word)
    return words


@wrong("merges until nothing is left to merge")
def _(words):
    while any(len(word) > 1 for word in words):
        words = merge_once(words)
    return words


@wrong("counts pairs across words")
def _(words):
    stream = [token for word, n in words.items() for _ in range(n) for token in word]
    return merge_all(words, smallest(Counter(zip(stream, stream[1:], strict=False))))


wrong(
    "both: counts each word once and takes the largest of equal pairs",
    lambda words: merge_all(words, max((n, p) for p, n in pair_counts(words, False).items())[1]),
)


@wrong("both: takes the first seen of equal pairs and merges only the first place in a word")
def _(words):
    counts = pair_counts(words)
    best = max(counts, key=counts.get)
    result = {}
    for word, n in words.items():
        for i in range(len(word) - 1):
            if word[i : i + 2] == best:
                word = (*word[:i], "".join(best), *word[i + 2 :])
                break
        result[word] = n
    return result


@wrong("takes the words' letters, whatever their tokens are")
def _(words):
    return merge_once({tuple("".join(word)): count for word, count in words.items()})


@wrong("the second token of a merged pair stays")
def _(words):
    best, result = smallest(pair_counts(words)), {}
    for word, count in words.items():
        pairs = zip(word, (*word[1:], None), strict=True)
        result[tuple(a + b if (a, b) == best else a for a, b in pairs)] = count
    return result


@wrong("the last token is lost where it is not merged")
def _(words):
    best, result = smallest(pair_counts(words)), {}
    for word, count in words.items():
        out, i = [], 0
        while i < len(word) - 1:
            step = 2 if word[i : i + 2] == best else 1
            out.append("".join(word[i : i + step]))
            i += step
        result[tuple(out)] = count
    return result


@wrong("counts a pair together with its mirror image")
def _(words):
    counts = pair_counts(words)
    both = {p: n + (counts[p[::-1]] if p[0] != p[1] else 0) for p, n in counts.items()}
    return merge_all(words, smallest(both))


@wrong("merges twice")
def _(words):
    once = merge_once(words)
    return merge_once(once) if pair_counts(once) else once


@wrong("a pair's count is that of the last word that has it")
def _(words):
    return merge_all(words, smallest({p: n for word, n in words.items() for p in pairwise(word)}))


# --- 2. Encode by rank


def encode_by_rank(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while True:
        pairs = list(zip(tokens, tokens[1:], strict=False))
        known = [(rank[pair], i) for i, pair in enumerate(pairs) if pair in rank]
        if not known:
            return tokens
        _, i = min(known)
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


def rank_cases():
    dice = random.Random(2)
    cases = [
        ("lower", [("e", "r"), ("l", "o"), ("lo", "w"), ("low", "er")]),
        ("abc", [("b", "c"), ("a", "b")]),
        ("abc", [("a", "b"), ("b", "c"), ("a", "bc")]),
        ("abc", [("a", "b"), ("b", "c")]),
        ("aaa", [("a", "a")]),
        ("aaaaa", [("a", "a"), ("aa", "aa")]),
        ("abcd", [("a", "b"), ("c", "d"), ("ab", "cd")]),
        ("abab", [("a", "b"), ("b", "a"), ("ab", "ab")]),
        ("x", [("a", "b")]),
        ("", [("a", "b")]),
        ("abc", []),
        ("abcab", [("a", "b"), ("ab", "c"), ("b", "c"), ("abc", "ab")]),
        ("abcd", [("c", "d"), ("a", "b"), ("b", "c"), ("bc", "d"), ("a", "bcd"), ("ab", "cd")]),
        ("abc", [("x", "y"), ("b", "c"), ("a", "bc"), ("a", "b"), ("ab", "c")]),
    ]
    for _ in range(25):
        merges, vocabulary = [], ["a", "b", "c"]
        for _ in range(8):
            pair = (dice.choice(vocabulary), dice.choice(vocabulary))
            if "".join(pair) not in vocabulary:
                merges.append(pair)
                vocabulary.append("".join(pair))
        cases.append(("".join(dice.choices("abcd", k=dice.randint(2, 12))), merges))
    return cases


wrong, right = exercise(CHECKS, "check_encode_by_rank", encode_by_rank, rank_cases)


@right("scans the list of merges from its start each time")
def _(word, merges):
    tokens, found = list(word), True
    while found:
        found = False
        for a, b in merges:
            places = [i for i in range(len(tokens) - 1) if tokens[i] == a and tokens[i + 1] == b]
            if places:
                tokens[places[0] : places[0] + 2] = [a + b]
                found = True
                break
    return tokens


@right("min with a default rank")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = [*word]
    while len(tokens) > 1:
        i = min(
            range(len(tokens) - 1),
            key=lambda i: rank.get((tokens[i], tokens[i + 1]), float("inf")),
        )
        if (tokens[i], tokens[i + 1]) not in rank:
            break
        tokens = tokens[:i] + [tokens[i] + tokens[i + 1]] + tokens[i + 2 :]
    return tokens


@right("recursive, with list.index for the rank")
def _(word, merges):
    def go(tokens):
        known = [
            (merges.index((a, b)), i)
            for i, (a, b) in enumerate(pairwise(tokens))
            if (a, b) in merges
        ]
        if not known:
            return tokens
        i = min(known)[1]
        return go([*tokens[:i], tokens[i] + tokens[i + 1], *tokens[i + 2 :]])

    return go(list(word))


@wrong("takes the pair of highest rank")
def _(word, merges):
    rank = {pair: -i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [(rank[p], i) for i, p in enumerate(pairwise(tokens)) if p in rank]:
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("merges the rightmost of equal pairs")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [(rank[p], -i) for i, p in enumerate(pairwise(tokens)) if p in rank]:
        i = -min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("merges the leftmost known pair, whatever its rank")
def _(word, merges):
    tokens = list(word)
    while known := [i for i, p in enumerate(pairwise(tokens)) if p in merges]:
        i = known[0]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@right("goes through the list once, each merge at all places")
def _(word, merges):
    tokens = tuple(word)
    for pair in merges:
        tokens = join(tokens, pair)
    return list(tokens)


@wrong("goes through the list once, each merge at one place")
def _(word, merges):
    tokens = list(word)
    for pair in merges:
        for i, here in enumerate(pairwise(tokens)):
            if here == pair:
                tokens[i : i + 2] = ["".join(pair)]
                break
    return tokens


@wrong("merges only once")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    known = [(rank[p], i) for i, p in enumerate(pairwise(tokens)) if p in rank]
    if known:
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("looks up the joined text, so any split of it counts")
def _(word, merges):
    rank = {}
    for i, (a, b) in enumerate(merges):
        rank.setdefault(a + b, i)
    tokens = list(word)
    while known := [(rank[a + b], i) for i, (a, b) in enumerate(pairwise(tokens)) if a + b in rank]:
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("cuts off the longest known token greedily")
def _(word, merges):
    vocabulary = {a + b for a, b in merges} | set(word)
    tokens = []
    while word:
        end = max(n for n in range(1, len(word) + 1) if word[:n] in vocabulary)
        tokens.append(word[:end])
        word = word[end:]
    return tokens


wrong("returns a string", lambda word, merges: " ".join(encode_by_rank(word, merges)))
wrong("returns the letters", lambda word, merges: list(word))
wrong(
    "returns ranks, not tokens",
    lambda word, merges: [
        {a + b: i for i, (a, b) in enumerate(merges)}.get(t, -1)
        for t in encode_by_rank(word, merges)
    ],
)


@wrong("never looks at the last pair")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [
        (rank[tokens[i], tokens[i + 1]], i)
        for i in range(len(tokens) - 2)
        if (tokens[i], tokens[i + 1]) in rank
    ]:
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("treats rank 0 as unknown")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [(rank[p], i) for i, p in enumerate(pairwise(tokens)) if rank.get(p)]:
        i = min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("merges the pair at all its places in one step, the last of an overlap")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [(rank[p], p) for p in pairwise(tokens) if p in rank]:
        best = min(known)[1]
        for i in range(len(tokens) - 2, -1, -1):
            if tuple(tokens[i : i + 2]) == best:
                tokens[i : i + 2] = ["".join(best)]
    return tokens


wrong("fails on an empty word", lambda word, merges: word[0] and encode_by_rank(word, merges))


@wrong("both: highest rank and rightmost of equal pairs")
def _(word, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    tokens = list(word)
    while known := [(rank[p], i) for i, p in enumerate(pairwise(tokens)) if p in rank]:
        i = max(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("both: looks up the joined text and merges the rightmost of equal pairs")
def _(word, merges):
    rank = {a + b: i for i, (a, b) in reversed(list(enumerate(merges)))}
    tokens = list(word)
    while known := [
        (rank[a + b], -i) for i, (a, b) in enumerate(pairwise(tokens)) if a + b in rank
    ]:
        i = -min(known)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


@wrong("replaces in the spaced text, across the borders of tokens")
def _(word, merges):
    text = " ".join(word)
    for left, right in merges:
        text = text.replace(f"{left} {right}", left + right)
    return text.split()


@wrong("takes a pair in either order")
def _(word, merges):
    known = {pair: i for i, pair in enumerate(merges)}
    known |= {(b, a): i for (a, b), i in known.items() if (b, a) not in known}
    tokens = list(word)
    while found := [(known[p], i) for i, p in enumerate(pairwise(tokens)) if p in known]:
        i = min(found)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
    return tokens


# --- 3. The WordPiece score


def wordpiece_scores(words):
    tokens, pairs = {}, {}
    for word, count in words.items():
        for token in word:
            tokens[token] = tokens.get(token, 0) + count
        for pair in zip(word, word[1:], strict=False):
            pairs[pair] = pairs.get(pair, 0) + count
    return {(a, b): count / (tokens[a] * tokens[b]) for (a, b), count in pairs.items()}


def token_counts(words, weighted=True):
    counts = Counter()
    for word, n in words.items():
        for token in word:
            counts[token] += n if weighted else 1
    return counts


def scores(words, score=lambda n, a, b: n / (a * b), token=True, pair=True):
    tokens, pairs = token_counts(words, token), pair_counts(words, pair)
    return {(a, b): score(n, tokens[a], tokens[b]) for (a, b), n in pairs.items()}


wrong, right = exercise(CHECKS, "check_wordpiece_scores", wordpiece_scores, word_cases)


@right("counters and two divisions")
def _(words):
    tokens, pairs = Counter(), Counter()
    for word, n in words.items():
        tokens.update({t: n * word.count(t) for t in set(word)})
        for a, b in pairwise(word):
            pairs[a, b] += n
    return {pair: n / tokens[pair[0]] / tokens[pair[1]] for pair, n in pairs.items()}


@right("repeats each word as often as it counts")
def _(words):
    every = [word for word, n in words.items() for _ in range(n)]
    tokens = Counter(t for word in every for t in word)
    pairs = Counter(p for word in every for p in pairwise(word))
    return {(a, b): pairs[a, b] / (tokens[a] * tokens[b]) for a, b in pairs}


@right("sums for each pair anew")
def _(words):
    def total(token):
        return sum(n * word.count(token) for word, n in words.items())

    result = {}
    for word, n in words.items():
        for a, b in pairwise(word):
            result[a, b] = result.get((a, b), 0.0) + n / (total(a) * total(b))
    return result


wrong("counts pairs without the words' counts", lambda words: scores(words, pair=False))
wrong("counts tokens without the words' counts", lambda words: scores(words, token=False))
wrong("ignores the words' counts", lambda words: scores(words, pair=False, token=False))
wrong("returns the pairs' counts", lambda words: scores(words, lambda n, a, b: n))
wrong("adds the tokens' counts", lambda words: scores(words, lambda n, a, b: n / (a + b)))
wrong("divides by the first count alone", lambda words: scores(words, lambda n, a, b: n / a))
wrong("divides by the second count alone", lambda words: scores(words, lambda n, a, b: n / b))
wrong("forgets parentheses: n / a * b", lambda words: scores(words, lambda n, a, b: n / a * b))
wrong("integer division", lambda words: scores(words, lambda n, a, b: n // (a * b)))
wrong("upside down", lambda words: scores(words, lambda n, a, b: a * b / n))
wrong(
    "takes the square root of the product",
    lambda words: scores(words, lambda n, a, b: n / (a * b) ** 0.5),
)


@wrong("divides by the product of frequencies, a pointwise mutual information without log")
def _(words):
    total = sum(token_counts(words).values())
    return {pair: s * total for pair, s in wordpiece_scores(words).items()}


@wrong("counts letters, not tokens")
def _(words):
    letters = Counter()
    for word, n in words.items():
        for letter in "".join(word):
            letters[letter] += n
    return {
        (a, b): n / (max(letters[a], 1) * max(letters[b], 1))
        for (a, b), n in pair_counts(words).items()
    }


@wrong("leaves the last token of a word out of the count")
def _(words):
    tokens, pairs = Counter(), Counter()
    for word, n in words.items():
        for a, b in pairwise(word):
            tokens[a] += n
            pairs[a, b] += n
    return {(a, b): n / (tokens[a] * (tokens[b] or 1)) for (a, b), n in pairs.items()}


wrong(
    "keys are joined strings",
    lambda words: {a + b: s for (a, b), s in wordpiece_scores(words).items()},
)
wrong(
    "keys are sorted pairs",
    lambda words: {tuple(sorted(p)): s for p, s in wordpiece_scores(words).items()},
)
wrong(
    "returns the best pair only",
    lambda words: max(wordpiece_scores(words).items(), key=lambda item: item[1])[0],
)
wrong(
    "counts a token once per word",
    lambda words: (
        lambda t: {(a, b): n / (t[a] * t[b]) for (a, b), n in pair_counts(words).items()}
    )({t: sum(n for w, n in words.items() if t in w) for w in words for t in w}),
)
wrong(
    "both: pairs not weighted and counts added, not multiplied",
    lambda words: scores(words, lambda n, a, b: n / (a + b), pair=False),
)
wrong(
    "both: tokens not weighted and divides by the first count alone",
    lambda words: scores(words, lambda n, a, b: n / a, token=False),
)
wrong(
    "both: ignores the words' counts and takes the square root",
    lambda words: scores(words, lambda n, a, b: n / (a * b) ** 0.5, token=False, pair=False),
)


@wrong("adds up (a, b) and (b, a)")
def _(words):
    counts, tokens = Counter(), token_counts(words)
    for pair, n in pair_counts(words).items():
        counts[tuple(sorted(pair))] += n
    return {(a, b): n / (tokens[a] * tokens[b]) for (a, b), n in counts.items()}


wrong("forgets the parentheses", lambda words: scores(words, lambda n, a, b: n / a * b))
