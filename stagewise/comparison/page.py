"""The page and the Markdown file of several experiments."""

from dataclasses import dataclass

from stagewise.comparison import tables
from stagewise.comparison.experiments import UNTUNED, Experiment, all_probes, shared_measure
from stagewise.comparison.figure import draw_figure
from stagewise.comparison.pairs import Pair, compare_arms
from stagewise.pipeline.compare_results import compare_results
from stagewise.pipeline.finished_results import read_result
from stagewise.report.blocks import Block, Bullets, Figures, Fold, Section, TableBlock, Text, place_figures
from stagewise.report.environment import environment, plain, styles
from stagewise.report.figures.figure import DrawnFigure
from stagewise.report.html import page_filters
from stagewise.report.markdown import Writer, escape
from stagewise.report.measures import ShownMeasure
from stagewise.report.tables.number_format import listed, p_value, plural
from stagewise.report.text.sentences import Sentence, difference, sample_warning

RECIPES = "recipe of "
"""Beginning of a difference that follows from the settings of an adapter."""

NAMED = 3
"""Differences that a headline names; of more, it says how many there are."""

FOLDED = 12
"""Differences of settings of which more are folded away."""


@dataclass(frozen=True)
class Comparison:
    """Everything that the page of several experiments shows."""

    experiments: list[Experiment]
    measure: ShownMeasure
    pairs: list[Pair]
    figure: DrawnFigure

    @classmethod
    def of(cls, experiments: list[Experiment]) -> "Comparison":
        """Compute the paired differences and draw the figure.

        Raises
        ------
        InputError
            If predictions are not those that the metrics of their experiment were computed from.
        """
        measure = experiments[0].view.measures[shared_measure(experiments)]
        pairs = compare_arms(experiments, measure.name)
        return cls(experiments, measure, pairs, draw_figure(experiments, measure))

    @property
    def title(self) -> str:
        return f"{listed(e.label for e in self.experiments)} side by side"

    @property
    def headlines(self) -> list[Sentence]:
        """One sentence for each other experiment: what is shown to differ from the first, and nothing else."""
        first, *others = self.experiments
        sentences = []
        for other in others:
            pairs = [pair for pair in self.pairs if pair.other is other]
            said = [_shown(pair, self.measure) for pair in pairs if _is_shown(pair)]
            tested = sum(pair.claim is not None for pair in pairs)
            if not pairs:
                text = "the two have no task in common, so nothing is compared"
            elif not tested:
                text = "nothing is paired, so nothing is claimed"
            else:
                text = "; ".join(said[:NAMED]) or f"no difference is shown in {plural(tested, 'paired comparison')}"
                text += f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
            sentences.append(Sentence(f"{other.label} against {first.label}: {text}"))
        return sentences


def build_sections(comparison: Comparison) -> list[Section]:
    """Every section, in the page's order."""
    experiments, measure = comparison.experiments, comparison.measure
    result: list[Block] = [Text(sentence.text, style="verdict") for sentence in comparison.headlines]
    result += [Text(remark(comparison)), TableBlock(tables.paired(comparison.pairs, measure), "main")]
    score_blocks: list[Block] = [Figures(), TableBlock(tables.scores(experiments, measure))]
    probes = []
    if all_probes(experiments):
        probes = [Section("probes", "Probes", [TableBlock(tables.probes(experiments))])]
    return [
        Section("result", "Paired differences", result),
        Section("scores", "Scores side by side", score_blocks),
        Section("changes", "Changes since learnt", [TableBlock(tables.changes(experiments, measure))]),
        *probes,
        Section("costs", "Cost", [TableBlock(tables.costs(experiments))]),
        Section("experiments", "The experiments", [TableBlock(tables.overview(experiments))]),
        *_settings_sections(experiments),
    ]


def _is_shown(pair: Pair) -> bool:
    return pair.claim is not None and pair.claim.verdict in ("better", "worse")


def _is_one_training(pair: Pair) -> bool:
    return len(pair.runs) == 1 and UNTUNED not in pair.arms


def _shown(pair: Pair, measure: ShownMeasure) -> str:
    claim, word = pair.claim, "higher" if pair.claim.difference.value > 0 else "lower"
    measure = tables.compared_by(pair, measure)
    p = f"corrected p {p_value(claim.p_corrected)}"
    about = "in these two trainings " if _is_one_training(pair) else ""
    return f"{about}{pair.name} is {word} on {pair.task} ({difference(claim.difference, measure)}, {p})"


def remark(comparison: Comparison) -> str:
    """Say what the comparisons are about, and which are missing."""
    tested = [pair for pair in comparison.pairs if pair.claim is not None]
    texts = []
    if tested:
        risk = f"{100 * (1 - comparison.experiments[0].view.experiment.confidence):g}%"
        number = plural(len(tested), "comparison")
        texts.append(f"The chance of any false difference among the page's {number} is at most {risk}.")
        if any(_is_one_training(pair) for pair in tested):
            texts.append(
                "With one run each, a difference is about these very adapters and says nothing about another training."
            )
    unpaired = [pair for pair in comparison.pairs if pair.claim is None]
    if unpaired:
        number = plural(len(unpaired), "comparison")
        texts.append(f"{number} {'is' if len(unpaired) == 1 else 'are'} not paired; the table says why.")
    arms = [f"{arm} of {e.label}" for e in comparison.experiments for arm in _alone(comparison, e)]
    if arms:
        texts.append(f"Without a counterpart: {listed(arms[:8])}{' and others' if len(arms) > 8 else ''}.")
    return " ".join(texts)


def _alone(comparison: Comparison, e: Experiment) -> list[str]:
    """Arms of an experiment that no pair is about."""
    sides = [side for pair in comparison.pairs for side in zip((pair.first, pair.other), pair.arms, strict=True)]
    paired = [arm for experiment, arm in sides if experiment is e]
    return [arm for arm in e.view.arms if arm not in paired]


def _settings_sections(experiments: list[Experiment]) -> list[Section]:
    """Differences between the settings of the first experiment and each other, as recorded with their metrics."""
    first, *others = experiments
    parts = []
    for other in others:
        differences = compare_results(read_result(first.path), read_result(other.path))
        causes = [difference.text for difference in differences if difference.effect == "cause"]
        recipes = sum(text.startswith(RECIPES) for text in causes)
        lines = [Sentence(text) for text in causes if not text.startswith(RECIPES)]
        if recipes:
            lines.append(
                Sentence(f"{plural(recipes, 'recipe')} of adapters changed, or stands in one of the two alone")
            )
        bullets: list[Block] = [Bullets(lines)] if lines else [Text("– Nothing that is recorded and could matter.")]
        if len(lines) > FOLDED:
            bullets = [Fold(plural(len(lines), "difference"), bullets)]
        parts.append(Section(f"settings-{other.label}", f"{first.label} → {other.label}", bullets))
    return [Section("settings", "What differs in their settings", parts)]


def render_html(comparison: Comparison) -> str:
    """Write the page's HTML: inline CSS and SVG, no script, nothing fetched."""
    env = environment(autoescape=True)
    env.filters |= page_filters()
    page = env.get_template("comparison.html.j2").render(
        view=comparison.experiments[0].view,
        base=None,
        items_page=None,
        comparison=comparison,
        warning=_warning(comparison),
        sections=place_figures(build_sections(comparison), {comparison.figure.id: comparison.figure}),
        css=styles(),
    )
    return plain(page)


def render_markdown(comparison: Comparison, folder: str) -> str:
    """Write the Markdown text; `folder` is the address of the figure's files."""
    parts = [f"# {escape(comparison.title)}"]
    if warning := _warning(comparison):
        parts.append(f"> **Sample.** {escape(warning)}")
    writer = Writer(comparison.experiments[0].view, folder)
    for section in place_figures(build_sections(comparison), {comparison.figure.id: comparison.figure}):
        parts += writer.write_part(section, 2)
    return plain("\n\n".join(parts) + "\n")


def _warning(comparison: Comparison) -> str | None:
    texts = {e.label: text for e in comparison.experiments if (text := sample_warning(e.view))}
    return f"{listed(texts)}: {next(iter(texts.values()))}" if texts else None
