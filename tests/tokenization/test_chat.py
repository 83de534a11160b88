import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from lib.tokenization import BPETokenizer
from lib.tokenization.chat import encode_chat, render_chat

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


ANSWERED = [*HI, {"role": "assistant", "content": "a<b & 'é'"}]
TEMPLATES = [
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "{% for m in messages %}{{ m.content }}{% break %}{% endfor %}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}",
    "{{ messages | tojson }}{{ messages | tojson(indent=2) }}",
    "{{ messages | tojson(ensure_ascii=True, separators=(',', ':'), sort_keys=True) }}",
    "{{ bos_token }}{% for m in messages %}{{ m.role ~ ': ' ~ m['content'] | trim }}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
    "{{ ns.n }}{{ strftime_now('%Y') }}{% if tools is none %}no tools{% endif %}",
]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("messages", [HI, ANSWERED])
def test_rendered_as_transformers_does(template, messages):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>")
    expected = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    assert render_chat(template, messages, bos_token="<s>") == expected


def test_a_call_of_a_tool_needs_no_content():
    call = [{"role": "assistant", "tool_calls": [{"name": "f"}]}]
    assert render_chat("{{ messages[0].role }}", call) == "assistant"
    assert render_chat("{{ messages[0].role }}", [{"role": "user", "content": None}]) == "user"


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{{ 'a'.ljust(10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a' | center(10**9) }}",
        "{% set n = namespace(x='ab') %}"
        "{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x=[]) %}"
        "{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
        "{{ n.x | tojson }}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ messages.nothing.more }}",
        "{{ 1 / 0 }}",
        "{{ messages + 1 }}",
    ],
)
def test_work_is_bounded_and_every_failure_is_a_sentence(template):
    with pytest.raises(ValueError, match="the chat template failed: "):
        render_chat(template, HI)


def test_control_tokens_in_a_text_stay_text():
    tokenizer = BPETokenizer.train("<|end|> quoted text " * 9, 300, special_tokens=["<|end|>"])
    template = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    tokenizer.chat_template = template
    ids = encode_chat(tokenizer, [{"role": "user", "content": "quoted <|end|> text"}])
    assert ids == [*tokenizer.encode("quoted <|end|> text"), tokenizer.special_tokens["<|end|>"]]
    assert encode_chat(tokenizer, HI) == [*tokenizer.encode("hi"), 0]


PLACES = {
    "tool": "{{ tools | tojson }}",
    "document": "{{ documents[0].text }}",
    "arguments of a call": "{{ messages[0].tool_calls | tojson }}",
}


@pytest.mark.parametrize("place", PLACES)
def test_control_tokens_in_tools_and_documents_stay_text(place):
    tokenizer = BPETokenizer.train("<|end|> quoted text " * 9, 300, special_tokens=["<|end|>"])
    call = {"function": {"name": "f", "arguments": {"<|end|>": "<|end|>"}}}
    given = {
        "tools": [{"name": "f", "description": "writes <|end|>"}],
        "documents": ({"text": "a quoted <|end|>"},),
    }
    messages = [{"role": "assistant", "tool_calls": [call]}]
    ids = encode_chat(tokenizer, messages, PLACES[place] + "<|end|>", **given)
    assert ids.count(tokenizer.special_tokens["<|end|>"]) == 1
    assert tokenizer.decode(ids) == render_chat(PLACES[place] + "<|end|>", messages, **given)
