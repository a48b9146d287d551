"""Checks of an experiment before anything expensive: what settings, machine, tokenizer, model and splits determine."""
