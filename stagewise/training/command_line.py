"""Command lines of steps that make an adapter without training it."""

import argparse

from stagewise.cli import add_image
from stagewise.training.job import AdapterJob


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which adapter is made, from what and where."""
    parser.add_argument("--recipe", required=True, help="the adapter's recipe.json")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--data", required=True, help="folder of the splits")
    parser.add_argument("--checkpoints", required=True, help="folder for finished adapters, kept by fingerprint")
    parser.add_argument("--output", required=True, help="folder to write the adapter to")
    add_image(parser)


def open_job(args: argparse.Namespace, parents=()) -> AdapterJob:
    """Open the job of these options; `parents` are the folders of the adapters that it is made from."""
    return AdapterJob.open(args.recipe, args.model, args.data, parents, args.checkpoints, args.output, args.image)
