"""Ids and masks that a caller passes: 0/1 integers are a mask, everything else wrong is named."""

import numpy as np
import pytest
import torch

from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.inputs import as_mask, check_ids, check_prompt

CONFIG = ModelConfig(
    vocab_size=11, context_length=8, d_model=12, n_layers=2, n_heads=3, d_ff=20, window=(3, None)
)
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
MASK = torch.tensor([[False, False, True, True, True], [True] * 5])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LanguageModel(CONFIG).eval()


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16], ids=str
)
def test_a_mask_of_whole_numbers_hides_what_the_bool_mask_hides(model, dtype):
    expected = model(IDS, MASK)
    assert torch.equal(model(IDS, MASK.to(dtype)), expected)
    assert torch.equal(check_prompt(CONFIG, IDS, MASK.to(dtype)), MASK)
    later = IDS.clone()
    later[:, -1] = 0
    assert torch.equal(model(later, MASK.to(dtype))[:, :-1], expected[:, :-1])
    cache = KVCache(CONFIG, 2, 8)
    first = model(IDS[:, :3], MASK[:, :3].to(dtype), cache)
    rest = model(IDS[:, 3:], MASK.to(dtype), cache)
    torch.testing.assert_close(torch.cat([first, rest], 1)[1], expected[1])


def test_left_padding_equals_no_padding(model):
    alone = model(IDS[:1, 2:])
    torch.testing.assert_close(model(IDS, MASK.long())[:1, 2:], alone)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (IDS, MASK.float(), "attention_mask must hold True and False.* got torch.float32"),
        (IDS, MASK.to(torch.bfloat16), r"got torch\.bfloat16"),
        (IDS, MASK.to(torch.complex64), r"got torch\.complex64"),
        (IDS, MASK.long() * 2, r"must hold 0 \(padding\) and 1, got 2"),
        (IDS, MASK.long() - 1, r"must hold 0 \(padding\) and 1, got -1"),
        (IDS, MASK[:1], r"a row for each of 2 sequences, got a tensor of shape \(1, 5\)"),
        (IDS, MASK[0], r"a row for each of 2 sequences, got a tensor of shape \(5,\)"),
        (IDS, MASK[:, None], r"got a tensor of shape \(2, 1, 5\)"),
        (IDS, MASK[:, 1:], "must cover 5 positions, got 4"),
        (IDS, MASK.tolist(), r"attention_mask must be a dense tensor, got \[\[False"),
        (IDS, MASK.numpy(), r"attention_mask must be a dense tensor, got array\(\[\[False"),
        (IDS, MASK.long().to_sparse(), "attention_mask must be a dense tensor, got tensor"),
        (IDS, MASK.to("meta"), r"is on meta, the ids on cpu: use attention_mask\.to"),
        (IDS[0], None, r"shape \(5,\): a single prompt needs one more pair of brackets"),
        (IDS[0, 0], None, r"ids must be \(batch, position\), got a tensor of shape \(\)"),
        (IDS[None], None, r"ids must be \(batch, position\), got a tensor of shape \(1, 2, 5\)"),
        (IDS[:, :0], None, r"at least one token, got a tensor of shape \(.*0"),
        (IDS[:0], None, r"at least one token, got a tensor of shape \(.*0"),
        (torch.tensor([[]]), None, r"at least one token, got a tensor of shape \(.*0"),
        (IDS.float(), None, r"whole numbers \(torch.int64 or int32\), got torch.float32"),
        (IDS == 1, None, r"got torch\.bool"),
        (IDS.tolist(), None, r"ids must be a tensor, got \[\[1, 2"),
        (IDS.numpy(), None, r"ids must be a tensor, got array\(\[\[ ?1"),
        (IDS + 1, None, r"ids must be in 0 \.\. 10, got 2 \.\. 11"),
        (IDS - 2, None, r"ids must be in 0 \.\. 10, got -1 \.\. 8"),
        (IDS.repeat(1, 2), None, "the context is 8 positions, got 10"),
    ],
    ids=str,
)
def test_what_is_no_input_is_named(model, ids, mask, message):
    with pytest.raises(ValueError, match=message):
        model(ids, mask)
    with pytest.raises(ValueError, match=message):
        check_prompt(CONFIG, ids, mask)


def test_padding_on_the_right_is_an_error_before_generation():
    with pytest.raises(ValueError, match=r"row 1 ends in padding .* pad prompts on the left"):
        check_prompt(CONFIG, IDS, MASK.flip(1).flip(0))
    assert check_prompt(CONFIG, IDS) is None


def test_a_mask_of_booleans_is_passed_on_as_it_is():
    assert as_mask(MASK, 2, 5) is MASK


def test_ids_of_32_bits_are_ids(model):
    check_ids(CONFIG, torch.from_numpy(np.array([[1, 2]], dtype=np.int32)))
    assert torch.equal(model(IDS.int()), model(IDS))
