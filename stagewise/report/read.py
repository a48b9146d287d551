"""Reading report_metrics.json."""

from pydantic import ValidationError

from stagewise.errors import InputError
from stagewise.metrics.schema import ReportMetrics
from stagewise.provenance.files import read_json


def read_metrics(path) -> ReportMetrics:
    """The metrics of an experiment.

    Raises
    ------
    InputError
        Where the file is missing, is no JSON, or is not what its schema says.
    """
    values = read_json(path, "report_metrics.json")
    try:
        return ReportMetrics.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the whole file"
        raise InputError(
            f"{path}: '{key}' does not fit the schema of report_metrics.json ({problem['msg'][:1].lower()}"
            f"{problem['msg'][1:]}); run the step that writes it again (scripts.metrics)"
        ) from None
