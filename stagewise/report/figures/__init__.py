"""Figures of the report: a module with a constant FIGURE is a figure, and the module's name is its id."""
