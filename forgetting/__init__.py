"""The vocabulary that the workflow's steps share."""

__version__ = "0.1.0"
