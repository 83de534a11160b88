"""NLP to LMs: one small, complete implementation of a language model."""
