"""Train one stage."""

TRAINING_BEHAVIOUR = 4
"""Version of what training does: raise it when the same recipe gives another adapter, so that old ones are made again.

Part of every recipe. ``tests/unit/training/test_behaviour.py`` fails when training changes and this does not.
"""


def behaviour_versions(recipe) -> dict[str, int]:
    """Behaviour versions that decide the adapter of a recipe or of its settings: training's and each remedy's."""
    return ({"training": TRAINING_BEHAVIOUR} if recipe.training else {}) | recipe.remedies.behaviour
