import pytest

from lib.pretrained import load_folder
from tests.references import small_model


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A small random Llama, ours and transformers'."""
    folder = tmp_path_factory.mktemp("llama")
    reference = small_model("llama")
    reference.save_pretrained(folder)
    return load_folder(folder)[0], reference
