"""Train one stage."""
