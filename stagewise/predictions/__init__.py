"""Score a model on every task."""

PREDICTION_BEHAVIOUR = 4
"""Version of what prediction does: raise it when the same model gives other predictions, so that they are made again.

Part of every prediction receipt. ``tests/unit/training/test_behaviour.py`` fails when predictions change and this does
not.
"""
