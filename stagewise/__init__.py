"""Fine-tune a small language model in stages, and measure what it forgets."""

__version__ = "0.1.0"
