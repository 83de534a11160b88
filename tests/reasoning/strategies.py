"""What hypothesis makes for this folder: problems, and responses of any words."""

from hypothesis import strategies as st

from lib.reasoning.task import OPERATIONS, VOCABULARY, Problem

problems = st.builds(
    Problem,
    st.integers(0, 9),
    st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=8).map(tuple),
)
responses = st.lists(st.sampled_from(VOCABULARY), max_size=30)
