"""Sequential fine-tuning, what it forgets, and what helps: raw data → splits → recipes → adapters →
predictions → report_metrics.json → report.

    snakemake --cores all                                         # the default experiment, config.yaml
    snakemake --cores all --configfile experiments/real.yaml      # an overlay on it
"""

import os

from snakemake.utils import min_version

min_version("9.0")


# Used with `--sdm apptainer` alone; `make containers` builds it.
CONTAINER = os.environ.get("STAGEWISE_IMAGE", "containers/cuda.sif")


container: CONTAINER


report: "report/workflow.rst"


include: "rules/common.smk"


# After rules/common.smk, which has read it strictly: Snakemake's own reader ends in tracebacks.
configfile: CONFIG_FILE


include: "rules/data.smk"
include: "rules/preflight.smk"
include: "rules/adapters.smk"
include: "rules/predictions.smk"
include: "rules/probes.smk"
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
    limit_gpus()
    check_early()


onsuccess:
    if not workflow.touch:
        for line in success_lines(R, planned_rules(), {job.rule.name for job in workflow.dag.jobs}):
            print(line)


onerror:
    for line in failed_steps(log):
        print(f"error: {line}", file=sys.stderr)
