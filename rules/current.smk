"""Before anything is planned: files that are current by content get times that say so, and so do stale ones.

Requires   every rule, and profiles/default, which has Snakemake look at nothing but times
Produces   nothing; says on standard error which outputs are stale and why

A run then takes the claims on its folders, before its first step (claim_folders in rules/common.smk).
"""

from stagewise.errors import refusal
from stagewise.pipeline.interrupted import RunStart
from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.plan import check_own_folder, open_experiment, phase_files, prepare_plan
from stagewise.pipeline.planned_times import plan_times
from stagewise.pipeline.preflight.record import due_outputs

try:
    EXPERIMENT = open_experiment(CONFIG, DECLARED, IMAGE_SHA256, Path(DEFINITION))
    ARTIFACTS = list(declared_artifacts(EXPERIMENT))
    # A job's own process makes no plan.
    if workflow.is_main_process:
        # Raw files of a task may be another experiment's as well.
        RUN = RunStart([R, *FETCHED_FOLDERS, *{dirname(path) for path in FETCHED}])
        # A default storage provider gives the rules' files other names.
        renamed = workflow.storage_settings and workflow.storage_settings.default_storage_provider
        # A dry run leaves the disk alone (unless its files have other names), and others' files cannot be dated.
        rules_compared, writes_nothing = None if renamed else workflow.rules, DRY_RUN and not renamed
        unwritten = prepare_plan(EXPERIMENT, ARTIFACTS, rules_compared, writes_nothing)
        if not workflow.touch:
            WAITING_FOR_PREFLIGHT.update(due_outputs(ARTIFACTS, sys.argv[1:], unwritten))
        plan_times(unwritten, missing=[PREFLIGHT])
        check_own_folder(".snakemake")
except (InputError, OSError) as error:
    if refusal(error) is None:
        raise
    sys.exit(f"error: {one_line(refusal(error))}")


# One rule a phase asks for everything of it: `snakemake splits`, `snakemake stage_1`; DVC's stages call them.
for PHASE, FILES in phase_files(ARTIFACTS).items():

    rule:
        name:
            PHASE
        input:
            FILES,
        localrule: True
