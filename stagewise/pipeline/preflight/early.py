"""Checks at the start of a run whose model or splits are still to be made."""

from collections.abc import Iterable

from stagewise.config.experiment import Config
from stagewise.pipeline.preflight.context import Context
from stagewise.pipeline.preflight.run import run_preflight

PREPARING = {"fetch_data", "fetch_model", "fetch_adapter", "make_splits"}
"""Rules that make what the full check reads."""

FULL = {"run_preflight", "preflight"}
"""Rules of the full check."""


class AtStart(Context):
    """An experiment whose model and splits are not the ones it will have."""

    fetches_models = True
    """False if the base models that are there stay: then nobody need ask the hub for them."""

    def has(self, need: str) -> bool:
        return False

    def has_fetched(self, model: str) -> bool:
        return not self.fetches_models and super().has_fetched(model)


def check_at_start(config: Config, rules: Iterable[str], elsewhere: bool) -> bool:
    """Check what can be known before files are fetched, if a run of these rules fetches any and checks again later.

    Returns
    -------
    False if a check failed, which has been printed.
    """
    rules = set(rules)
    if rules.isdisjoint(PREPARING) or rules.isdisjoint(FULL):
        return True
    context = AtStart(config, elsewhere)
    context.fetches_models = "fetch_model" in rules
    return run_preflight(context) == 0
