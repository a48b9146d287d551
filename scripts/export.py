"""Export a trained adapter for other tools: as it is, merged into its base model, as GGUF, to the hub.

The folder loads with peft or transformers from anywhere. Its card has the scores of the report that the adapter's
results folder holds.
"""

import argparse
import sys
from pathlib import Path

from stagewise.errors import exit_on_input_error
from stagewise.models.merged_model import DTYPES
from stagewise.pipeline.export import ExportOptions, export
from stagewise.pipeline.export_gguf import LLAMA_CPP_VARIABLE, TYPES

EPILOG = """examples:
  python -m scripts.export results/base/seed-0/pubmedqa --output exported
  python -m scripts.export DIR --output merged --merge --gguf q8_0 --converter ~/llama.cpp
  python -m scripts.export DIR --output exported --push owner/name --private
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("adapter", help="folder of the adapter, or of its lineage")
    parser.add_argument("--output", required=True, type=Path, help="folder to write; it must not be there")
    parser.add_argument("--model", help="folder of the base model; models/NAME if not given")
    parser.add_argument("--base", metavar="OWNER/NAME[@COMMIT]", help="the base model's repository, if not as recorded")
    merged = parser.add_argument_group("merged model")
    merged.add_argument("--merge", action="store_true", help="write the base model with the adapter merged in")
    merged.add_argument("--dtype", choices=DTYPES.values(), help="type of its weights; the base model's if not given")
    gguf = parser.add_argument_group("GGUF")
    gguf.add_argument("--gguf", nargs="?", const="auto", choices=TYPES, help="add a GGUF file of this type (%(const)s)")
    gguf.add_argument("--converter", help=f"llama.cpp's converter, or its folder (or set {LLAMA_CPP_VARIABLE})")
    card = parser.add_argument_group("card")
    card.add_argument("--results", help="results folder with the report; the one that the adapter lies in if not given")
    card.add_argument("--prompts", action="store_true", help="show the prompts; not where they quote items")
    card.add_argument(
        "--settings", nargs="+", default=(), metavar="FILE", help="configuration with the base model's licence"
    )
    hub = parser.add_argument_group("hub")
    hub.add_argument("--push", metavar="OWNER/NAME", help="push to this repository; HF_TOKEN or `hf auth login`")
    hub.add_argument("--private", action="store_true", help="create it as a private repository")
    hub.add_argument("--revision", dest="branch", metavar="BRANCH", help="branch to push to; the main one if not given")
    hub.add_argument(
        "--may-redistribute", action="store_true", help="the licence allows to publish the base model's merged weights"
    )
    return parser


@exit_on_input_error(network=True)
def main(argv=None) -> int:
    """Export; return 0 if it is written, and pushed if asked, 2 after an error in one sentence."""
    options = vars(build_parser().parse_args(argv))
    address = export(ExportOptions(**options | {"settings": tuple(options["settings"])}))
    if address:
        print(address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
