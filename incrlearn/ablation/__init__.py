"""Ablations: a base recipe and variants of it, each trained with several seeds, and the table they come to."""
