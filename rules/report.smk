"""Metrics over all predictions, and the report.

Requires   recipe, adapter, training log, predictions and probes of every adapter, those of the base models, the splits
Produces   {results}/report_metrics.json          schema: schemas/report_metrics.schema.json
           {results}/metrics.json                 the main figures by name, for `dvc metrics`
           {results}/report.html, report.md       the same figures for readers
           {results}/figures/                     every picture and its numbers, and a receipt
           {results}/items.html                   items that an arm lost or gained, with their texts: a local page
"""


rule metrics:
    """Compute every figure, with intervals and tests."""
    input:
        summaries=expand(f"{R}/{{data}}/summary.json", data=DATA),
        splits=expand(f"{R}/{{data}}/{{task}}/{{split}}.jsonl", data=DATA, task=TASKS, split=SPLITS),
        predictions=expand(f"{R}/{{lineage}}/predictions/receipt.json", lineage=[*UNTUNED, *ADAPTERS]),
        probes=expand(f"{R}/{{lineage}}/probes/receipt.json", lineage=[*UNTUNED, *ADAPTERS] if PROBES else []),
        recipes=expand(f"{R}/{{lineage}}/recipe.json", lineage=ADAPTERS),
        adapters=expand(f"{R}/{{lineage}}/adapter/receipt.json", lineage=ADAPTERS),
        training=expand(f"{R}/{{lineage}}/adapter/training.json", lineage=ADAPTERS),
        published=[CONFIG.published] if CONFIG.published else [],
    output:
        full=report(
            f"{R}/report_metrics.json",
            caption="../report/metrics.rst",
            category="Results",
            labels={"file": "all figures"},
        ),
        flat=f"{R}/metrics.json",
    log:
        f"logs/{R}/metrics.log",
    localrule: True
    params:
        settings=write_settings(DECLARED),
        results=lambda wc, output: dirname(output.full),
        image=IMAGE,
    shell:
        "python -m scripts.metrics --settings {params.settings:q} --results {params.results:q}"
        " --output {output.full:q} --flat {output.flat:q} {params.image:q} 2>&1 | tee {log:q}"


rule report:
    """Draw the report from the figures."""
    input:
        metrics=f"{R}/report_metrics.json",
        logs=expand(f"{R}/{{lineage}}/adapter/training_log.csv", lineage=ADAPTERS),
        summaries=expand(f"{R}/{{data}}/summary.json", data=DATA),
        splits=expand(f"{R}/{{data}}/{{task}}/{{split}}.jsonl", data=DATA, task=TASKS, split=SCORED),
    output:
        html=report(f"{R}/report.html", caption="../report/report.rst", category="Results", labels={"file": "report"}),
        markdown=report(
            f"{R}/report.md", caption="../report/markdown.rst", category="Results", labels={"file": "report, Markdown"}
        ),
        figures=f"{R}/figures/receipt.json",
        # Not in Snakemake's own report: it holds the data's text.
        local=f"{R}/items.html",
    log:
        f"logs/{R}/report.log",
    localrule: True
    params:
        results=lambda wc, output: dirname(output.html),
        figures=lambda wc, output: dirname(output.figures),
        image=IMAGE,
    shell:
        "python -m scripts.report --metrics {input.metrics:q} --results {params.results:q}"
        " --html {output.html:q} --markdown {output.markdown:q}"
        " --figures {params.figures:q} --items {output.local:q} {params.image:q} 2>&1 | tee {log:q}"
