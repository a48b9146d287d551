"""A first look at a user's data, and the overlay and prompt file that follow from it."""
