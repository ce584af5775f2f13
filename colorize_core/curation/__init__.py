"""Choosing color photographs to train on: what each shows of itself, which are the same, which belong together."""
