"""From prediction files to ``report_metrics.json``: scores, intervals, paired comparisons, baselines."""
