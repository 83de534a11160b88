import pytest

from lib.tokenization.chat import render_chat

HI = [{"role": "user", "content": "hi"}]


def test_template_runs_in_a_sandbox():
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(ValueError, match="the chat template failed"):
        render_chat(template, HI)
    with pytest.raises(ValueError, match="the chat template failed"):
        render_chat("{{ messages.append(1) }}", HI)


def test_template_may_object():
    with pytest.raises(ValueError, match="roles must alternate"):
        render_chat("{{ raise_exception('roles must alternate') }}", HI)


def test_broken_template_is_named():
    with pytest.raises(ValueError, match="the chat template failed"):
        render_chat("{% for %}", HI)


def test_missing_template_and_malformed_messages():
    with pytest.raises(ValueError, match="no chat template"):
        render_chat("", HI)
    with pytest.raises(ValueError, match=r"needs 'role' and 'content', got \{'role': 'user'\}"):
        render_chat("x", [{"role": "user"}])


def test_variables_reach_the_template():
    assert render_chat("{{ bos_token }}{{ messages[0].content }}", HI, bos_token="<s>") == "<s>hi"
