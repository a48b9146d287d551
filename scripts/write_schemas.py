"""Write the JSON schemas and docs/reference/configuration.md from the typed models, or check them."""

import argparse
import sys
from pathlib import Path

from stagewise.errors import InputError, exit_on_input_error
from stagewise.provenance.files import atomic


def generated_files() -> dict[Path, str]:
    """Generate the content of each file, by its path from the top of the project."""
    from stagewise.config.experiment import Config
    from stagewise.config.reference import configuration_page, json_schema
    from stagewise.metrics.schema import ReportMetrics

    return {
        Path("schemas/config.schema.json"): json_schema(Config, "validation"),
        Path("schemas/report_metrics.schema.json"): json_schema(ReportMetrics, "serialization"),
        Path("docs/reference/configuration.md"): configuration_page(),
    }


@exit_on_input_error
def main(argv=None) -> int:
    """Write the files that differ; with ``--check``, return 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m scripts.write_schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="top of the project")
    args = parser.parse_args(argv)

    if not (args.root / "stagewise").is_dir():
        raise InputError(f"{args.root}: not the top of the project; run this from there or name it with --root")
    for name, text in generated_files().items():
        path = args.root / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if args.check:
            print(
                f"error: {path} is not what the typed models say; run 'python -m scripts.write_schemas'",
                file=sys.stderr,
            )
            return 1
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
