"""Remedies against forgetting, one module each."""
