"""Options of steps that score probes: the settings of scoring."""

from stagewise.cli import add_settings
from stagewise.config.step_settings import ProbeSettings
from stagewise.models.compute_type import resolve, with_compute_type
from stagewise.predictions.command_line import read_scoring_settings
from stagewise.predictions.run import Scoring
from stagewise.probes.in_training import ScoringWithTexts

SCORE_TEXTS = "--score-texts"


def add_probe_settings(parser, option: str = "--settings", use: str = "") -> None:
    """Add an option with the settings of probes (`stagewise.cli.add_settings`), required if it is ``--settings``."""

    def narrow(config) -> ProbeSettings:
        return with_compute_type(config).probe_settings()

    required = option == "--settings"
    add_settings(parser, ProbeSettings, narrow, required, option, use, parse="parse_probe_settings")


def read_probe_settings(args, values: list[str]) -> ProbeSettings:
    """Read the option's values, with a resolved compute type."""
    settings = args.parse_probe_settings(values)
    return settings.model_copy(update={"dtype": resolve(settings.dtype)})


def read_scorer(args) -> Scoring | ScoringWithTexts | None:
    """Read ``--score`` and ``--score-texts`` of a step that makes adapters: how it scores them; None if it does not."""
    scoring = Scoring(read_scoring_settings(args, args.score)) if args.score else None
    if scoring is None or not args.score_texts:
        return scoring
    return ScoringWithTexts(scoring, read_probe_settings(args, args.score_texts))
