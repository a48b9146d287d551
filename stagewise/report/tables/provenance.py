"""Provenance of the figures: package versions and fingerprints."""

from stagewise.report.lookup import View
from stagewise.report.tables.number_format import MISSING
from stagewise.report.tables.table import Table, checksum, code


def packages(view: View) -> Table:
    """Versions in training and in the computation of the metrics."""
    trained: dict[str, dict[str, None]] = {}
    for record in view.metrics.training:
        for name, version in record.packages.items():
            trained.setdefault(name, {})[version] = None
    measured = view.experiment.packages
    table = Table("packages", "Package versions.", ["Package", "Training", "Metrics"])
    for name in sorted({*trained, *measured}):
        table.add(name, code("; ".join(trained.get(name, {})) or MISSING), code(measured.get(name, MISSING)))
    return table


def fingerprints(view: View) -> Table:
    """Fingerprints of the base models and of every adapter's recipe."""
    caption = (
        "Fingerprints: of the base model's files, and of every adapter's recipe, which holds everything that "
        "determines its bytes."
    )
    table = Table("fingerprints", caption, ["Lineage", "Made with", "Fingerprint"])
    table.add(code("base"), view.experiment.model, checksum(view.experiment.model_fingerprint))
    for record in view.experiment.other_models or []:
        table.add(code(record.lineage), record.model, checksum(record.fingerprint))
    for adapter in view.adapters.values():
        made = f"stage {adapter.stage}, {adapter.task or 'from elsewhere'}, {view.run(adapter)}"
        made += f", {remedies}" if (remedies := view.remedies(adapter)) else ""
        table.add(code(adapter.lineage), made, checksum(adapter.fingerprint))
    return table
