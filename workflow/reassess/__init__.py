"""Controlled studies of how to post-train vision-language models for reasoning."""

__version__ = "0.1.0"
