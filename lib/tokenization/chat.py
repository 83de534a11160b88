"""Chat templates: how messages become the one string that a chat model was trained on."""

from collections.abc import Sequence
from functools import lru_cache


def render_chat(
    template: str,
    messages: Sequence[dict[str, str]],
    *,
    add_generation_prompt: bool = True,
    **variables,
) -> str:
    """Render `messages` ({"role": …, "content": …}) with a model's own Jinja template.

    The template comes from a file that somebody else wrote, so it runs in Jinja's sandbox, where
    it can build text and nothing else. `variables` are passed on (bos_token, for instance).
    Raises ValueError if there is no template, a message is malformed, or the template objects.
    """
    from jinja2 import TemplateError

    if not template:
        raise ValueError("this tokenizer has no chat template; encode plain text instead")
    for message in messages:
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise ValueError(f"a message needs 'role' and 'content', got {message!r}")
    try:
        return _compile(template).render(
            messages=list(messages), add_generation_prompt=add_generation_prompt, **variables
        )
    except TemplateError as error:
        raise ValueError(f"the chat template failed: {error}") from error


@lru_cache
def _compile(template: str):
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(template)
