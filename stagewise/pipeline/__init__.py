"""What the workflow makes, and what of it is current."""
