"""The deterministic part of each benchmark's own scoring rule, quirks included, to compare published numbers.

Scores and rewards come from `reassess.judge`. What is here is reported beside its verdict and decides nothing. There is
one module per benchmark. Nothing is random, and where an official rule asks a large model the outcome is None unless
the answer of such a model is on record.
"""
