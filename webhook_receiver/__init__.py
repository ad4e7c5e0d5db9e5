"""The minimal Flask receiver: verify, store, answer. It loads no domain code."""
