"""From raw files to splits."""
