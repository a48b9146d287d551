"""Every adapter, and every untuned base model, scored on every task and split with one model load.

Requires   {results}/{lineage}/adapter/ (not for a base model), {results}/data/{task}/{split}.jsonl
Produces   {results}/{lineage}/predictions/{task}.{split}.csv and their receipt
"""


rule predict:
    """Score one adapter, or a base model, on every task."""
    input:
        adapter=adapter_receipt,
        model=model_receipt,
        tuned=tuned_model,
        data=lambda wc: [f"{data_of(wc)}/{task}/{split}.jsonl" for task in TASKS for split in SCORED],
        summary=lambda wc: f"{data_of(wc)}/summary.json",
        prompts=[task.prompt for task in CONFIG.active_tasks.values()],
        preflight=preflight_before("predictions/receipt.json"),
    output:
        expand(f"{R}/{{{{lineage}}}}/predictions/{{task}}.{{split}}.csv", task=TASKS, split=SCORED),
        receipt=f"{R}/{{lineage}}/predictions/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/predict.log",
    group:
        one_job
    threads: threads_of
    resources:
        gpu=gpus_of("predict"),
        frozen_layers_mb=2000,  # of the frozen layers' output that may be kept on a CPU; 0 keeps none
    params:
        settings=write_settings(CONFIG.scoring_settings()),
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        layers=last_layers,
        adapter=lambda wc: [] if wc.lineage in UNTUNED else ["--adapter", f"{R}/{wc.lineage}/adapter"],
        folder=f"{R}/{{lineage}}/predictions",
        checkpoints=f"{R}/checkpoints",
        image=IMAGE,
    shell:
        "python -m scripts.predict --settings {params.settings:q} --model {params.model:q} {params.adapter:q}"
        " --data {params.data:q} --checkpoints {params.checkpoints:q} --output {params.folder:q} {params.image:q}"
        " --frozen-layers-mb {resources.frozen_layers_mb} {params.layers:q}"
        " 2>&1 | tee {log:q}"
