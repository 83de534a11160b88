import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
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


QUOTED = [
    {"role": "user", "content": "say <|end|> or </think>"},
    {"role": "assistant", "content": "<|end|>x</think>\n\nyes <|end|> é"},
]
EACH = "{% for m in messages %}%s{% endfor %}"
LOOKS = {  # what a template does with a text that quotes control tokens → its own in the result
    "{{ m.content | tojson(ensure_ascii=True) }}<|end|>": 2,
    "{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1] }}{% endif %}<|end|>": 2,
    "{{ m.content | length }}{{ '<|end|>' + m.content + '<|end|>' }}": 4,
    "{% macro turn(text) %}<|end|>{{ text }}{% endmacro %}"
    "{{ turn(m.content) }}{{ turn(m.content) | length }}": 2,
    "{{ m.content[:9] }}{{ m.content[-4:] }}{{ eos_token }}": 2,
    "{{ m.content | upper }}{{ m.content | title }}{{ m.content | reverse }}": 0,
    "{{ m.content | replace('<|end|>', 'X') }}{{ m.content.replace('<|', 'Y') }}": 0,
    "{{ m.content.startswith('<|end|>') }}{{ m.content.find('</think>') }}": 0,
    "{% for c in m.content %}{{ c }}.{% endfor %}{{ ['<|end|>', m.content] | join('<|end|>') }}": 4,
    "{{ m.content.rsplit('</think>', 1)[0] }}{{ '<|' ~ 'end|>' if m.content is string }}": 0,
    "{{ '<|' ~ 'end|>' ~ m.content | trim }}": 2,
    "{% set text %}<|end|>{{ m.content }}{% endset %}{{ text }}{{ text | length }}": 2,
    "{{ m.content | e }}{{ m.content | urlencode }}{{ '%s' % m.content }}": 0,
}


@pytest.mark.parity("chats that quote control tokens: what templates make of them",
                    "transformers apply_chat_template", "identical")  # fmt: skip
@pytest.mark.parametrize("template", LOOKS)
def test_a_quoted_control_token_is_text_to_the_template_too(template):
    special = ["<|end|>", "</think>"]
    ours = BPETokenizer.train("say yes x" * 9, 300, special_tokens=special, eos_token="<|end|>")
    theirs = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), eos_token="<|end|>")
    whole = EACH.replace("%s", template)
    expected = theirs.apply_chat_template(QUOTED, chat_template=whole, tokenize=False)
    ids = encode_chat(ours, QUOTED, whole)
    assert ours.decode(ids) == expected
    assert sum(i < len(special) for i in ids) == LOOKS[template]


def test_a_text_that_cannot_be_told_from_the_template_is_named():
    ours = BPETokenizer.train("say yes x" * 9, 300, special_tokens=["<|end|>"])
    template = "{{ ('<|end|>' + messages[0].content)[3:] + messages[0].content[3:] }}"
    with pytest.raises(ValueError, match=r"control token '<\|end\|>', and the chat template"):
        encode_chat(ours, [{"role": "user", "content": "<|end|>"}], template)


@pytest.mark.parity("chats that quote control tokens: ids beside them", "tokenizers", "identical")
def test_what_stands_beside_a_quoted_control_token_is_encoded_as_one_text(tmp_path):
    """A tokenizer that puts ▁ before the first piece only, and whose tokens take spaces along."""
    alphabet = dict.fromkeys([*"▁abc<|end>", "<|end|>", "▁a"])
    vocab = {token: i for i, token in enumerate(alphabet)}
    theirs = Tokenizer(models.BPE(vocab, [("▁", "a")]))
    theirs.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    theirs.add_special_tokens([AddedToken("<|end|>", rstrip=True)])
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = BPETokenizer.load(tmp_path / "tokenizer.json")
    template = "{% for m in messages %}{{ m.content }}<|end|> a{% endfor %}"
    quoting, plain = ([{"role": "user", "content": text}] * 2 for text in ("a<|end|>", "ab"))
    ids, alike = (encode_chat(ours, messages, template) for messages in (quoting, plain))
    assert alike == theirs.encode("ab<|end|> aab<|end|> a").ids
    spelled = [vocab[char] for char in "<|end|>"]
    assert ids == theirs.encode("a").ids + spelled + alike[2:5] + spelled + alike[6:]
