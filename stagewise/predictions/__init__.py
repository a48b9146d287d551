"""Score a model on every task."""
