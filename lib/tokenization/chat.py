"""Chat templates: how messages become the one string that a chat model was trained on.

A control token in somebody's message must stay text: `encode_chat` hides it from the tokenizer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lib.tokenization.chat_sandbox import compile_template, swapped

Message = Mapping[str, Any]
Marks = Mapping[str, str]  # control token → what stands for it: a private character, as often


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
    return _render(template, messages, {"add_generation_prompt": add_generation_prompt} | variables)


def _render(
    template: Any, messages: Any, variables: Mapping[str, Any], marks: Marks | None = None
) -> str:
    if isinstance(template, list) and template and isinstance(template[0], dict):
        template = {entry.get("name"): entry.get("template") for entry in template}
    if isinstance(template, dict):  # several, by name
        template = template.get("default")
    if not isinstance(template, str | None):
        raise TypeError(f"a chat template must be str, got {type(template).__name__}")
    if not template:
        raise ValueError("this tokenizer has no chat template; encode plain text instead")
    messages = listed(messages)
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ValueError(f"a message needs 'role' and 'content', got {message!r:.200}")
        content = message.get("content", "" if message.get("tool_calls") else 0)
        if not isinstance(content, str | list | None):
            raise ValueError(f"a message needs 'role' and 'content', got {message!r:.200}")
    given = {"bos_token": "", "eos_token": "", "tools": None, "documents": None, **variables}
    given = {k: "" if v is None and k.endswith("_token") else v for k, v in given.items()}
    try:
        compiled = compile_template(template, tuple((marks or {}).items()))
        return compiled.render(messages=messages, **given)
    except Exception as error:  # whatever a stranger's template stumbles on
        reason = str(error) or type(error).__name__
        raise ValueError(f"the chat template failed: {reason:.500}") from error


def encode_chat(
    tokenizer: Any, messages: Sequence[Message], template: str | None = None, **options: Any
) -> list[int]:
    """The ids of a chat, where a control token inside a message, a tool or a document stays text.

    `options` go to `render_chat`. To encode a rendered chat in parts (a prompt and its answer), use
    `marks_for`, `render_marked` and `encode_marked`, which this joins.
    """
    messages = listed(messages)
    marks = marks_for(tokenizer, [messages, *(options.get(name) for name in GIVEN)])
    text = render_marked(tokenizer, template or tokenizer.chat_template, messages, marks, **options)
    return encode_marked(tokenizer, text, marks)


GIVEN = ("tools", "documents")  # what a chat holds beside messages


def marks_for(tokenizer: Any, contents: Sequence[Any]) -> Marks:
    """A private character for each special token that stands in a text of `contents`."""
    texts = list(_texts(contents))
    found = [t for t in tokenizer.special_tokens if t and any(t in text for text in texts)]
    taken = set("".join(texts))
    free = (c for c in map(chr, range(0xF0000, 0xFFFFE)) if c not in taken)
    return {token: mark * len(token) for token, mark in zip(found, free, strict=False)}


def render_marked(
    tokenizer: Any, template: Any, messages: Sequence[Message], marks: Marks, **options: Any
) -> str:
    """As `render_chat`, with `marks` for the control tokens that are somebody's text.

    To the template all texts are as they stand, whatever it looks for in them. Raises ValueError
    where it mixes them with its own so that nothing tells which is which.
    """
    named = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
    options = {"add_generation_prompt": True, **named, **options}
    plain = _render(template, messages, options)
    if not marks:
        return plain
    back = {mark: token for token, mark in marks.items()}
    given = {name: options[name] for name in GIVEN if name in options}
    hidden = _render(template, _hidden(messages, marks), options | _hidden(given, marks))
    if swapped(hidden, back) == plain:
        return hidden
    # the template looks into a text: mark its own control tokens instead
    named = {name: options[name] for name in named}
    own = _render(template, messages, options | _hidden(named, marks), marks)
    if swapped(own, back) != plain:
        raise ValueError(
            f"a message holds the control token {next(iter(marks))!r}, and the chat template "
            "changes messages so that it could not be told from one of its own: leave it out"
        )
    return swapped(own, {**marks, **back})


def encode_marked(tokenizer: Any, text: str, marks: Marks) -> list[int]:
    """The ids of a rendered text: its control tokens are the template's, `marks` become text."""
    back = {mark: token for token, mark in marks.items()}

    def encode_plain(part: str, first: bool) -> list[int]:
        return tokenizer.encode_plain(swapped(part, back), first)

    return tokenizer.encode_with(encode_plain, text, "all")


def _hidden(value: Any, marks: Marks) -> Any:
    """`value` with marks in all its texts."""
    if isinstance(value, str):
        return swapped(value, marks)
    if isinstance(value, Mapping):
        return {_hidden(key, marks): _hidden(item, marks) for key, item in value.items()}
    return [_hidden(item, marks) for item in value] if isinstance(value, list | tuple) else value


def listed(messages: Any) -> list[Any]:
    """`messages` as a list; TypeError for what is not several."""
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
