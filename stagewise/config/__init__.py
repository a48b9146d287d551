"""Typed settings of an experiment, and reading them from YAML files."""
