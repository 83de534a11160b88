"""The sandbox in which a stranger's chat template runs: bounded loops and sizes, nothing but text.

What transformers adds to Jinja is here too: `{% generation %}`, `{% break %}`, `strftime_now`,
`raise_exception` and its own `tojson`.
"""

import datetime
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 200_000  # calls and rounds of loops in one rendering
LARGEST = 4_000_000  # characters of a text, items of a list


@functools.lru_cache
def compile_template(template: str, marks: tuple[tuple[str, str], ...] = ()) -> "Template":
    """A template, with (text, mark) put into every text that it writes itself."""
    return Template(template, dict(marks))


def swapped(text: str, table: Mapping[str, str]) -> str:
    """`text` with each key replaced by its value, the longest first."""
    keys = map(re.escape, sorted(table, key=len, reverse=True))
    return re.sub("|".join(keys), lambda found: table[found[0]], text) if table else text


class Template:
    """A compiled template and what one rendering has spent."""

    def __init__(self, template: str, marks: Mapping[str, str]) -> None:
        if len(template) > LARGEST:
            raise ValueError(f"a template of {len(template):,} characters")
        self.budget = {"steps": 0, "size": 0}
        environment: Environment = _Bounded(self.budget, marks)
        environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
        self.template = environment.from_string(template)

    def render(self, **variables: Any) -> str:
        """What the template makes of `variables`."""
        self.budget.update(steps=0, size=0)
        return self.template.render(**variables)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form)


def _mark_written(node: nodes.Node, marks: Mapping[str, str]) -> None:
    """Mark the texts that a template writes; not those that it looks for in another text."""
    if isinstance(node, nodes.TemplateData):
        node.data = swapped(node.data, marks)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        node.value = swapped(node.value, marks)
    looks = isinstance(node, nodes.Compare | nodes.Test)
    method = isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr)
    method = method or (isinstance(node, nodes.Filter) and node.name not in ("join", "default"))
    inner = [node.node] if method else [] if looks else node.iter_child_nodes()
    for child in inner:
        _mark_written(child, marks)


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

    def __init__(self, budget: dict[str, int], marks: Mapping[str, str]) -> None:
        extensions = [_Generation, loopcontrols]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.budget, self.marks = budget, marks
        self.globals.pop("lipsum", None)
        self.filters = {name: self._guarded(filter) for name, filter in self.filters.items()}
        self.filters |= {"tojson": self._guarded(_tojson), "_rounds": self._rounds}
        self.filters["_joined"] = lambda parts: self._checked("".join(map(str, parts)))
        self.finalize = self._written

    def _parse(self, *arguments: Any) -> nodes.Template:
        tree = super()._parse(*arguments)
        if self.marks:
            _mark_written(tree, self.marks)
        tree = _without_concat(tree)
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
