"""Finished experiments as DataFrames and figures, for notebooks."""
