"""Write dvc.yaml: an experiment's steps as DVC stages.

python -m scripts.write_dvc                                  # of config.yaml
python -m scripts.write_dvc --overlays experiments/real.yaml
"""

import argparse
import os
import sys
from pathlib import Path

from stagewise.config.load_config import load
from stagewise.config.shareable import is_local_path
from stagewise.config.yaml_files import read_yaml
from stagewise.errors import InputError, exit_on_input_error
from stagewise.provenance.files import atomic


@exit_on_input_error
def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.write_dvc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--overlays", nargs="*", default=[], metavar="FILE", help="as for snakemake --configfile")
    parser.add_argument("--output", default="dvc.yaml", help="file to write (default: %(default)s)")
    args = parser.parse_args(argv)
    if not Path("config.yaml").is_file():
        raise InputError("config.yaml: no such file here; run this from the top of the project")

    import yaml

    from stagewise.pipeline.dvc_stages import HEAD, stages

    overlays = [os.path.relpath(path) for path in args.overlays]
    for path in filter(is_local_path, overlays):
        raise InputError(f"{path}: outside the project, where nobody else has it; copy the overlay into the project")
    paths = ["config.yaml", *overlays]
    document = stages(load(*paths), {path: read_yaml(path) for path in paths})
    head = HEAD.format(arguments=" --overlays " + " ".join(overlays) if overlays else "")
    with atomic(args.output) as temporary:
        text = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
        temporary.write_text(head + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
