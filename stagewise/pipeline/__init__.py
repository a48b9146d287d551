"""Declared outputs of the workflow, and which of them are current."""
