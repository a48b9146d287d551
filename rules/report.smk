"""Metrics over all predictions, and the report.

Requires   {results}/{lineage}/predictions/ of the base model and every adapter, training.json of every adapter
Produces   {results}/report_metrics.json          schema: schemas/report_metrics.schema.json
           {results}/metrics.json                 the main figures by name, for `dvc metrics`
           {results}/report.html, report.md       the same figures for readers
           {results}/figures/                     the numbers of every picture, one CSV file each, and a receipt
           {results}/items.html                   items that flipped, with their texts: a local page
"""

DATA = data_folders(CONFIG)


rule metrics:
    input:
        summaries=expand(f"{R}/{{data}}/summary.json", data=DATA),
        splits=[file for data in DATA for file in split_files(f"{R}/{data}")],
        predictions=expand(f"{R}/{{lineage}}/predictions/receipt.json", lineage=[BASE, *ADAPTERS]),
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
        settings=settings(DECLARED),
        results=lambda wc, output: dirname(output.full),
        image=IMAGE,
    shell:
        "python -m scripts.metrics --settings {params.settings:q} --results {params.results:q}"
        " --output {output.full:q} --flat {output.flat:q} {params.image:q} 2>&1 | tee {log:q}"


rule report:
    input:
        metrics=f"{R}/report_metrics.json",
        logs=expand(f"{R}/{{lineage}}/adapter/training_log.csv", lineage=ADAPTERS),
        splits=[file for data in DATA for file in split_files(f"{R}/{data}", CONFIG.evaluation.splits)],
    output:
        html=report(f"{R}/report.html", caption="../report/report.rst", category="Results", labels={"file": "report"}),
        markdown=report(
            f"{R}/report.md", caption="../report/markdown.rst", category="Results", labels={"file": "report, Markdown"}
        ),
        figures=f"{R}/figures/receipt.json",
        # Not in Snakemake's own report: it holds the data's text.
        flipped=f"{R}/items.html",  # Snakemake keeps the name `items` for itself
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
        " --figures {params.figures:q} --items {output.flipped:q} {params.image:q} 2>&1 | tee {log:q}"
