"""Compute report_metrics.json: scores, learning, forgetting, decision rules and statistics of the arms."""

import argparse
import sys
from pathlib import Path

from stagewise.cli import add_image, add_settings
from stagewise.config.experiment import Config
from stagewise.errors import exit_on_input_error
from stagewise.lineage import data_folders, lineage_tree
from stagewise.pipeline import origins
from stagewise.provenance.files import write_json


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.metrics", description=__doc__)
    add_settings(parser, Config, lambda config: config)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="the experiment's results folder")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="report_metrics.json to write")
    parser.add_argument("--flat", type=Path, metavar="FILE", help="metrics.json to write: the main figures by name")
    add_image(parser)
    arguments = parser.parse_args(argv)
    config = arguments.parse_settings(arguments.settings)

    from stagewise.metrics.build import build
    from stagewise.metrics.flat import flatten
    from stagewise.metrics.read_results import read_run

    metrics = build(read_run(config, arguments.results))
    inputs = origins.metrics_inputs(config, arguments.results, data_folders(config), lineage_tree(config))
    made = {"made_from": origins.of_metrics(config, inputs), "image": arguments.image}
    metrics = metrics.model_copy(update=made)
    write_json(arguments.output, metrics.model_dump(mode="json"))
    if arguments.flat:
        write_json(arguments.flat, flatten(metrics))
    return 0


if __name__ == "__main__":
    sys.exit(main())
