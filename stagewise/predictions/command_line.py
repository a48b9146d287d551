"""The option of steps that score: the settings of scoring."""

from stagewise.cli import add_settings
from stagewise.config.step_settings import ScoringSettings
from stagewise.models.compute_type import resolve, with_compute_type


def add_scoring_settings(parser, option: str = "--settings", use: str = "") -> None:
    """Add an option with the settings of scoring (`stagewise.cli.add_settings`), required if it is ``--settings``."""

    def narrow(config) -> ScoringSettings:
        return with_compute_type(config).scoring_settings()

    add_settings(parser, ScoringSettings, narrow, required=option == "--settings", option=option, use=use)


def read_scoring_settings(args, values: list[str]) -> ScoringSettings:
    """Read the option's values, with a resolved compute type."""
    settings = args.parse_settings(values)
    return settings.model_copy(update={"dtype": resolve(settings.dtype)})
