"""Floor 2: what a model costs in compute and memory, and what more of both buys."""
