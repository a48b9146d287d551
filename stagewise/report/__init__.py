"""From report_metrics.json to the pages that show it."""
