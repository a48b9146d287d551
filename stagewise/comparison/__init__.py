"""Several finished experiments on one page."""
