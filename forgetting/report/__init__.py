"""The report: report_metrics.json and the training logs as one HTML page and one Markdown file."""
