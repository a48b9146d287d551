"""The pictures, one module each, and what they share."""
