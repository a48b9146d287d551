"""Sequential fine-tuning, what it forgets, and what helps: raw data → splits → recipes → adapters →
predictions → report_metrics.json → report.

    snakemake --cores all                                         # the default experiment, config.yaml
    snakemake --cores all --configfile experiments/real.yaml      # an overlay on it
"""

import os

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


# Used with `--sdm apptainer` alone; `make containers` builds it.
CONTAINER = os.environ.get("STAGEWISE_IMAGE", "containers/cuda.sif")


container: CONTAINER


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/adapters.smk"
include: "rules/predictions.smk"
include: "rules/report.smk"
include: "rules/current.smk"


rule all:
    default_target: True
    input:
        # Not items.html: it holds the data's text, so it does not travel with the rest.
        rules.report.output.html,
        rules.report.output.markdown,
        rules.report.output.figures,
    localrule: True


# Not in a dry run, nor if nothing has to be done.
onstart:
    claim_folders()


onsuccess:
    print(f"The report is {R}/report.html")


onerror:
    for line in failed_steps(log):
        print(f"error: {line}", file=sys.stderr)
