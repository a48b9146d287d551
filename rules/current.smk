"""Before anything is planned: what is current by content gets file times that say so, and so does what is stale.

Requires   profiles/default, which has Snakemake look at nothing but times
Produces   nothing
"""

# A job's own process makes no plan.
if workflow.is_main_process:
    try:
        known = artifacts.Experiment(DECLARED, ADAPTERS, Path(MODEL), IMAGE_CHECKSUM, (Path(DEFINITION),))
        freshness.settle(known.outputs())
    except InputError as error:
        sys.exit(f"error: {error}")
