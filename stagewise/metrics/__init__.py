"""From predictions to report_metrics.json."""
