"""Checks of everything that settings, tokenizer, model configuration and splits determine, before anything expensive.

Requires   models/{name}/receipt.json, {results}/data/{task}/{split}.jsonl and their summary, the prompts
Produces   {results}/preflight.json    made anew in each run that trains or scores, and deleted at its end

`snakemake preflight` checks whenever it is asked to. A run whose model or splits are still to be made checks twice: at
its start what it can without them (`onstart` in the Snakefile), and here.
"""

if workflow.is_main_process:
    forget_record(PREFLIGHT)  # of a run that was interrupted: settings and machine may be others now

CHECKED = {
    "model": f"{MODEL}/receipt.json",
    "summaries": expand(f"{R}/{{data}}/summary.json", data=DATA),
    "splits": expand(f"{R}/{{data}}/{{task}}/{{split}}.jsonl", data=DATA, task=TASKS, split=SPLITS),
    "prompts": [task.prompt for task in CONFIG.active_tasks.values()],
}


rule run_preflight:
    """Check the experiment for the steps that wait for it."""
    input:
        **CHECKED,
    output:
        temp(PREFLIGHT),
    log:
        f"logs/{R}/run_preflight.log",
    localrule: True
    params:
        settings=write_settings(CONFIG),
        # The machine that plans is not the one that trains, so it cannot be judged here.
        elsewhere=lambda wc: [] if workflow.local_exec else ["--elsewhere"],
    shell:
        "python -m scripts.preflight --settings {params.settings:q} {params.elsewhere} --planned"
        " --record {output:q}"
        " 2>&1 | tee {log:q}"


rule preflight:
    """Check the experiment, whatever is to be done."""
    input:
        **CHECKED,
    log:
        f"logs/{R}/preflight.log",
    localrule: True
    params:
        settings=write_settings(CONFIG),
        # The machine that plans is not the one that trains, so it cannot be judged here.
        elsewhere=lambda wc: [] if workflow.local_exec else ["--elsewhere"],
    shell:
        "python -m scripts.preflight --settings {params.settings:q} {params.elsewhere} 2>&1 | tee {log:q}"
