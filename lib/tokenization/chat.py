"""Chat templates: how messages become the one string that a chat model was trained on.

A template comes from a file that somebody else wrote, so it runs in Jinja's sandbox, where it can
build text and nothing else, with bounded loops and sizes. What transformers adds is here too:
`{% generation %}`, `{% break %}`, `strftime_now`, `raise_exception` and its own `tojson`.
"""

import datetime
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 200_000  # calls and rounds of loops in one rendering
LARGEST = 4_000_000  # characters of a text, items of a list
Message = Mapping[str, Any]


def render_chat(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
    **variables: Any,
) -> str:
    """Render `messages` ({"role": …, "content": …}) with a model's own Jinja template.

    `variables` are passed on: bos_token and eos_token ("" where they are missing), tools, and what
    else a template asks for. Raises ValueError if there is no template, a message is malformed, or
    anything goes wrong in the template.
    """
    if isinstance(template, list) and template and isinstance(template[0], dict):
        template = {entry.get("name"): entry.get("template") for entry in template}
    if isinstance(template, dict):  # several, by name
        template = template.get("default")
    if not isinstance(template, str | None):
        raise TypeError(f"a chat template must be str, got {type(template).__name__}")
    if not template:
        raise ValueError("this tokenizer has no chat template; encode plain text instead")
    messages = _listed(messages)
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ValueError(f"a message needs 'role' and 'content', got {message!r:.200}")
        content = message.get("content", "" if message.get("tool_calls") else 0)
        if not isinstance(content, str | list | None):
            raise ValueError(f"a message needs 'role' and 'content', got {message!r:.200}")
    variables = {
        "bos_token": "", "eos_token": "", "tools": None, "documents": None, **variables
    }  # fmt: skip
    variables = {k: "" if v is None and k.endswith("_token") else v for k, v in variables.items()}
    try:
        compiled, budget = _compile(template)
        budget.update(steps=0, size=0)
        return compiled.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **variables
        )
    except Exception as error:  # whatever a stranger's template stumbles on
        reason = str(error) or type(error).__name__
        raise ValueError(f"the chat template failed: {reason:.500}") from error


def encode_chat(
    tokenizer: Any, messages: Sequence[Message], template: str | None = None, **options: Any
) -> list[int]:
    """The ids of a chat, where a control token inside a message, a tool or a document stays text.

    `options` go to `render_chat`. To encode a rendered chat in parts (a prompt and its answer), use
    `protect` and `encode_protected`, which this joins.
    """
    given = {name: options[name] for name in ("tools", "documents") if name in options}
    (*messages, given), marks = protect(tokenizer, [*_listed(messages), given])
    options = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token} | options | given
    text = render_chat(template or tokenizer.chat_template, messages, **options)
    return encode_protected(tokenizer, text, marks)


def protect(tokenizer: Any, messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """The messages with a private character for each special token in their texts, and what each
    character stands for.
    """
    texts = list(_texts(messages := _listed(messages)))
    found = [t for t in tokenizer.special_tokens if t and any(t in text for text in texts)]
    taken = set("".join(texts))
    free = (c for c in map(chr, range(0xF0000, 0xFFFFE)) if c not in taken)
    marks = dict(zip(free, sorted(found, key=len, reverse=True), strict=False))

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            for mark, token in marks.items():
                value = value.replace(token, mark)
            return value
        if isinstance(value, Mapping):
            return {hide(key): hide(item) for key, item in value.items()}
        return [hide(item) for item in value] if isinstance(value, list | tuple) else value

    return [hide(message) for message in messages] if marks else list(messages), marks


def encode_protected(tokenizer: Any, text: str, marks: Mapping[str, str]) -> list[int]:
    """The ids of a rendered text: its control tokens are the template's, `marks` become text."""
    special = [token for token in tokenizer.special_tokens if token]
    if not marks or not special:
        return tokenizer.encode(text, allowed_special="all")
    cut = re.split(f"({'|'.join(map(re.escape, sorted(special, key=len, reverse=True)))})", text)
    ids: list[int] = []
    for n, piece in enumerate(cut):
        if n % 2:
            ids += tokenizer.encode(piece, allowed_special="all")
        elif piece:
            ids += tokenizer.encode("".join(marks.get(char, char) for char in piece))
    return ids


def _listed(messages: Any) -> list[Any]:
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise TypeError(f"messages must be a list of dicts, got {type(messages).__name__}")
    return list(messages)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _without_concat(node: Any) -> Any:
    """`a ~ b` becomes a filter, which can be bounded."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            changed = [_without_concat(x) if isinstance(x, nodes.Node) else x for x in value]
            setattr(node, name, changed)
        elif isinstance(value, nodes.Node):
            setattr(node, name, _without_concat(value))
    if isinstance(node, nodes.Concat):
        return nodes.Filter(nodes.List(node.nodes), "_joined", [], [], None, None)
    return node


class _Generation(Extension):
    """`{% generation %}` marks what an assistant writes; the text is the same without it."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Bounded(ImmutableSandboxedEnvironment):
    """A sandbox that counts calls and rounds of loops, and refuses to build what is too large."""

    intercepted_binops = frozenset(("*", "**", "+", "%"))

    def __init__(self, budget: dict[str, int]) -> None:
        extensions = [_Generation, loopcontrols]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.budget = budget
        self.globals.pop("lipsum", None)
        self.filters = {name: self._guarded(filter) for name, filter in self.filters.items()}
        self.filters |= {"tojson": self._guarded(_tojson), "_rounds": self._rounds}
        self.filters["_joined"] = lambda parts: self._checked("".join(map(str, parts)))
        self.finalize = self._written

    def _parse(self, *arguments: Any) -> nodes.Template:
        tree = _without_concat(super()._parse(*arguments))
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_rounds", [], [], None, None)
        return tree

    def _step(self, n: int = 1) -> None:
        self.budget["steps"] += n
        if self.budget["steps"] > MOST_STEPS:
            raise TemplateError(f"it takes more than {MOST_STEPS:,} steps")

    def _rounds(self, items: Iterable) -> list:
        items = list(islice(items, MOST_STEPS + 1))
        self._step(len(items))
        return items

    def _checked(self, value: Any) -> Any:
        """`value`, unless it is too large, also when nested lists hold the same list many times."""
        waiting, size = [value], 0
        while waiting and size <= LARGEST:
            item = waiting.pop()
            size += len(item) if isinstance(item, str | list | tuple | dict) else 1
            if isinstance(item, dict):
                waiting += item.values()
            elif isinstance(item, list | tuple):
                waiting += item
            elif isinstance(item, int) and abs(item) > 10**300:
                size = LARGEST + 1
        if size > LARGEST:
            raise TemplateError(f"it builds a value larger than {LARGEST:,} characters")
        return value

    def _written(self, value: Any) -> Any:
        self.budget["size"] += len(value) if isinstance(self._checked(value), str) else 1
        if self.budget["size"] > LARGEST:
            raise TemplateError(f"it writes more than {LARGEST:,} characters")
        return value

    def _guarded(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def guarded(*arguments: Any, **named: Any) -> Any:
            self._step()
            self._small(arguments + tuple(named.values()))
            result = function(*arguments, **named)
            return self._checked(result) if isinstance(result, str | list | dict) else result

        return guarded

    def _small(self, arguments: Iterable[Any]) -> None:
        for value in arguments:
            if isinstance(value, int) and abs(value) > MOST_STEPS:
                raise TemplateError(f"the number {value:.3g} is too large")
            if isinstance(value, str | list | tuple | dict):
                self._checked(value)

    def call(self, context: Any, function: Any, /, *arguments: Any, **named: Any) -> Any:
        self._step()
        owner = getattr(function, "__self__", None)
        if function is range:
            self._step(len(range(*arguments)))
        self._small(arguments + tuple(named.values()))
        if isinstance(owner, str) and getattr(function, "__name__", "") == "replace":
            old, new = [*arguments, "", ""][:2]
            if (owner.count(old) + 1) * len(new) > LARGEST:
                raise TemplateError("a replacement makes too long a text")
        if isinstance(owner, str) and re.search(r"\d{6}", owner) and "{" in owner:
            raise TemplateError("a format asks for too wide a text")
        return super().call(context, function, *arguments, **named)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self._step()
        sizes = [len(x) if isinstance(x, str | list | tuple) else x for x in (left, right)]
        numbers = [x for x in sizes if isinstance(x, int | float)]
        if operator in ("*", "**") and len(numbers) == 2:
            plain = all(isinstance(x, int | float) for x in (left, right))
            most = 10**18 if plain and operator == "*" else LARGEST
            if operator == "**" and (abs(right) > 64 or abs(left) > 1e6):
                raise TemplateError("a power is too large")
            if operator == "*" and abs(sizes[0] * sizes[1]) > most:
                raise TemplateError("a product is too large")
        if operator == "%" and isinstance(left, str) and re.search(r"%[^a-z]*\d{6}|\*", left):
            raise TemplateError("a format asks for too wide a text")
        return self._checked(super().call_binop(context, operator, left, right))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers has it: plain JSON, not escaped for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


@functools.lru_cache
def _compile(template: str) -> tuple[Any, dict[str, int]]:
    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def strftime_now(form: str) -> str:
        return datetime.datetime.now().strftime(form)

    budget = {"steps": 0, "size": 0}
    environment: Environment = _Bounded(budget)
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    if len(template) > LARGEST:
        raise ValueError(f"a template of {len(template):,} characters")
    return environment.from_string(template), budget
