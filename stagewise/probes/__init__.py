"""Score a model on probes with one score per item: held-out texts and tasks of lm-evaluation-harness."""

PROBE_BEHAVIOUR = {"text": 1, "harness": 1}
"""Version of what scoring does, by the kind of probe: raise it when the same model gives other scores.

Part of every probe receipt.
"""
