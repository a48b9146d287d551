"""Prompts, and how a model answers them."""
