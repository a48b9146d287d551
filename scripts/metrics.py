"""Compute report_metrics.json: scores, learning, forgetting, decision rules and statistics of the arms."""

import argparse
import sys
from pathlib import Path

from forgetting import origins, plan
from forgetting.cli import add_image, add_settings
from forgetting.config import Config
from forgetting.errors import exit_on_input_error
from forgetting.receipts import write_json


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

    from forgetting.metrics.build import build
    from forgetting.metrics.flat import flatten
    from forgetting.metrics.run import read_run

    metrics = build(read_run(config, arguments.results))
    inputs = origins.metrics_inputs(config, arguments.results, plan.data_folders(config), plan.adapters(config))
    made = {"made_from": origins.of_metrics(config, inputs), "image": arguments.image}
    metrics = metrics.model_copy(update=made)
    write_json(arguments.output, metrics.model_dump(mode="json"))
    if arguments.flat:
        write_json(arguments.flat, flatten(metrics))
    return 0


if __name__ == "__main__":
    sys.exit(main())
