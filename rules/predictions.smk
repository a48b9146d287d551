"""Every adapter, and the untuned base model, scored on every task and split with one model load.

Requires   {results}/{lineage}/adapter/ (not for the base model), {results}/data/{task}/{split}.jsonl
Produces   {results}/{lineage}/predictions/{task}.{split}.csv and their receipt
"""

SCORED = [f"{task}.{split}.csv" for task in CONFIG.active_tasks for split in CONFIG.evaluation.splits]


rule predict:
    input:
        adapter=lambda wc: [] if wc.lineage == BASE else f"{R}/{wc.lineage}/adapter/receipt.json",
        model=f"{MODEL}/receipt.json",
        data=lambda wc: split_files(data_of(wc), CONFIG.evaluation.splits),
        summary=lambda wc: f"{data_of(wc)}/summary.json",
        prompts=[task.prompt for task in CONFIG.active_tasks.values()],
    output:
        [f"{R}/{{lineage}}/predictions/{file}" for file in SCORED],
        receipt=f"{R}/{{lineage}}/predictions/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/predict.log",
    wildcard_constraints:
        lineage=LINEAGE,
    threads: 8  # at most; --cores and the profile bring it down
    params:
        settings=settings(CONFIG.scoring_settings()),
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        adapter=lambda wc: [] if wc.lineage == BASE else ["--adapter", f"{R}/{wc.lineage}/adapter"],
        folder=lambda wc, output: dirname(output.receipt),
        checkpoints=f"{R}/checkpoints",
        image=IMAGE,
    shell:
        "python -m scripts.predict --settings {params.settings:q} --model {params.model:q} {params.adapter:q}"
        " --data {params.data:q} --checkpoints {params.checkpoints:q} --output {params.folder:q} {params.image:q}"
        " 2>&1 | tee {log:q}"
