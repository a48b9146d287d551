"""Compute report_metrics.json: scores, learning, forgetting, decision rules and statistics of the arms."""

import argparse
import os
import sys
from pathlib import Path

from stagewise.cli import add_image, add_settings
from stagewise.config.experiment import Config
from stagewise.errors import exit_on_input_error
from stagewise.lineage import data_folders, lineage_tree
from stagewise.pipeline import inputs
from stagewise.provenance.files import atomic, sha256_file, write_json


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

    from stagewise.metrics.build import build_metrics, flatten_metrics, format_metrics
    from stagewise.metrics.read_results import read_results

    metrics = build_metrics(read_results(config, arguments.results))
    files = inputs.metrics_files(config, arguments.results, data_folders(config), lineage_tree(config))
    record = {"inputs": inputs.metrics_inputs(config, files, arguments.results), "image": arguments.image, "files": {}}
    if arguments.flat:
        write_json(arguments.flat, flatten_metrics(metrics))
        name = os.path.relpath(arguments.flat, arguments.output.parent)
        record["files"][name] = sha256_file(arguments.flat)
    with atomic(arguments.output) as temporary:
        temporary.write_text(format_metrics(metrics.model_copy(update=record)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
