"""Fetch the data of the tasks of lm-evaluation-harness that an experiment probes.

    python -m scripts.fetch_harness --settings config.yaml experiments/mine.yaml

The data sets go to the hub's cache (HF_HOME), from which the probe step reads them offline.
"""

import argparse
import sys

from stagewise.errors import InputError, exit_on_input_error
from stagewise.probes.command_line import add_probe_settings, read_probe_settings
from stagewise.probes.harness_package import check_harness
from stagewise.probes.harness_tasks import TaskLoader


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fetch_harness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_probe_settings(parser)
    args = parser.parse_args(argv)
    harness = read_probe_settings(args, args.settings).harness
    if harness is None:
        raise InputError("config: probes.harness is not set, so there is nothing to fetch")
    check_harness(harness)
    loader = TaskLoader(harness)
    for name in harness.tasks:
        tasks = loader.load(name)
        metric = tasks.metric
        items = sum(len(task.eval_docs) for task in tasks.tasks.values())
        print(f"{name}: {items} items, {metric.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
