"""Before anything is planned: files that are current by content get times that say so, and so do stale ones.

Requires   every rule, and profiles/default, which has Snakemake look at nothing but times
Produces   nothing; says on standard error which outputs are stale and why
"""

from stagewise.pipeline.artifacts import declared_artifacts
from stagewise.pipeline.plan import open_experiment, phase_files, prepare_plan
from stagewise.pipeline.preflight.record import mark_record

try:
    EXPERIMENT = open_experiment(CONFIG, DECLARED, IMAGE_SHA256, Path(DEFINITION))
    ARTIFACTS = list(declared_artifacts(EXPERIMENT))
    # A job's own process makes no plan.
    if workflow.is_main_process:
        # A default storage provider gives the rules' files other names.
        renamed = workflow.storage_settings and workflow.storage_settings.default_storage_provider
        prepare_plan(EXPERIMENT, ARTIFACTS, None if renamed else workflow.rules)
        mark_record(Path(PREFLIGHT), ARTIFACTS, sys.argv[1:])
except InputError as error:
    sys.exit(f"error: {error}")


# One rule a phase asks for everything of it: `snakemake splits`, `snakemake stage_1`; DVC's stages call them.
for PHASE, FILES in phase_files(ARTIFACTS).items():

    rule:
        name:
            PHASE
        input:
            FILES,
        localrule: True
