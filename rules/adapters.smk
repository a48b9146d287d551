"""One recipe and one adapter per node of the lineage tree.

Requires   {results}/data/{task}/{train,validation}.jsonl, models/{name}/receipt.json
Produces   {results}/{lineage}/recipe.json    everything that determines the adapter's bytes
           {results}/{lineage}/adapter/       weights, tokenizer, model card, training log, receipt
           {results}/checkpoints/             kept by fingerprint, never a declared output: Snakemake
                                              deletes those before a job, and a resume needs them
"""

ADAPTER_FILES = {
    "weights": "adapter_model.safetensors",
    "config": "adapter_config.json",
    "card": "README.md",
    "log": "training_log.csv",
    "summary": "training.json",
    "receipt": "receipt.json",
}


rule write_recipe:
    input:
        model=f"{MODEL}/receipt.json",
        data=lambda wc: [f"{R}/data/{adapter(wc).task}/{split}.jsonl" for split in ("train", "validation")],
        prompt=lambda wc: CONFIG.active_tasks[adapter(wc).task].prompt,
        parent=lambda wc: parent(wc, "recipe.json"),
    output:
        f"{R}/{{lineage}}/recipe.json",
    log:
        f"logs/{R}/{{lineage}}/write_recipe.log",
    wildcard_constraints:
        lineage=LINEAGE,
    localrule: True
    params:
        settings=lambda wc: settings(plan.recipe_settings(CONFIG, adapter(wc))),
        model=lambda wc, input: dirname(input.model),
        data=lambda wc, input: dirname(dirname(input.data[0])),
        parent=lambda wc, input: ["--parent", input.parent] if input.parent else [],
    shell:
        "python -m scripts.write_recipe --settings {params.settings:q} --model {params.model:q}"
        " --data {params.data:q} {params.parent:q} --output {output:q} 2>&1 | tee {log:q}"


rule train_adapter:
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=f"{MODEL}/receipt.json",
        data=lambda wc: [f"{R}/data/{adapter(wc).task}/{split}.jsonl" for split in ("train", "validation")],
        parent=lambda wc: parent(wc, "adapter/receipt.json"),
    output:
        **{key: f"{R}/{{lineage}}/adapter/{file}" for key, file in ADAPTER_FILES.items()},
    log:
        f"logs/{R}/{{lineage}}/train_adapter.log",
    wildcard_constraints:
        lineage=LINEAGE,
    threads: 8  # at most; --cores and the profile bring it down
    params:
        model=lambda wc, input: dirname(input.model),
        data=lambda wc, input: dirname(dirname(input.data[0])),
        parent=lambda wc: ["--parent", f"{R}/{p}/adapter"] if (p := adapter(wc).parent) else [],
        logging=["--log-steps", CONFIG.logging.steps, "--report-to", *CONFIG.logging.report_to],
        checkpoints=lambda wc: f"{R}/checkpoints",
        folder=lambda wc, output: dirname(output.weights),
    shell:
        "python -m scripts.train_adapter --recipe {input.recipe:q} --model {params.model:q} --data {params.data:q}"
        " {params.parent:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
        " {params.logging:q} 2>&1 | tee {log:q}"
