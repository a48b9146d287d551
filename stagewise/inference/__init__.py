"""Prompt a model and read its answers."""
