"""Commands that keep the course in order; nothing in `lib` imports them."""
