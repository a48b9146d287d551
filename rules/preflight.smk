"""Checks of everything that settings, tokenizer, model configuration and splits determine, before anything expensive.

Requires   models/{name}/receipt.json, adapters/{name}/receipt.json, {results}/data/{task}/{split}.jsonl and their summary, the prompts
Produces   {results}/preflight.json    a record that trainings and predictions wait for; made anew in each run that has any

`snakemake preflight` checks whenever it is asked to. A run whose model or splits are still to be made checks twice: at
its start what it can without them (`onstart` in the Snakefile), and here.
"""

# Ancient: the record is made for the jobs that wait for it in this run (rules/current.smk), and for no other reason.
CHECKED = {
    "models": ancient([f"models/{name}/receipt.json" for name in CONFIG.base_models]),
    "taken": ancient(
        [
            f"{folder}/receipt.json"
            for folder in FETCHED_FOLDERS
            if folder not in {f"models/{name}" for name in CONFIG.base_models}
        ]
    ),
    "summaries": ancient(expand(f"{R}/{{data}}/summary.json", data=DATA)),
    "splits": ancient(expand(f"{R}/{{data}}/{{task}}/{{split}}.jsonl", data=DATA, task=TASKS, split=SPLITS)),
    "prompts": ancient([task.prompt for task in CONFIG.active_tasks.values()]),
}
# With a cluster the machine that plans is not the one that trains, so it is not judged.
ELSEWHERE = lambda wc: [] if workflow.local_exec else ["--elsewhere"]


rule run_preflight:
    """Check the experiment for the steps that wait for it."""
    input:
        ancient(DEFINITION),
        **CHECKED,
    output:
        PREFLIGHT,
    log:
        f"logs/{R}/run_preflight.log",
    localrule: True
    params:
        settings=write_settings(CONFIG),
        elsewhere=ELSEWHERE,
    shell:
        "python -m scripts.preflight --settings {params.settings:q} {params.elsewhere} --planned --record {output:q}"
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
        elsewhere=ELSEWHERE,
    shell:
        "python -m scripts.preflight --settings {params.settings:q} {params.elsewhere} 2>&1 | tee {log:q}"
