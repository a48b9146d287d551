"""One recipe and one adapter per node of the lineage tree.

Requires   {results}/data/{task}/{train,validation}.jsonl, models/{name}/receipt.json
Produces   {results}/{lineage}/recipe.json    everything that determines the adapter's bytes
           {results}/{lineage}/adapter/       weights, tokenizer, model card, training log, receipt; a lineage that
                                              ends in merged-… is made of finished adapters without training
           {results}/checkpoints/             kept by fingerprint, never a declared output: Snakemake
                                              deletes those before a job, and a resume needs them; predictions too
"""


rule write_recipe:
    input:
        model=f"{MODEL}/receipt.json",
        data=learning_files,
        prompts=lambda wc: [CONFIG.active_tasks[task].prompt for task in adapter(wc).learnt_tasks],
        code=lambda wc: adapter(wc).remedies.files,
        parents=lambda wc: parents(wc, "recipe.json"),
    output:
        f"{R}/{{lineage}}/recipe.json",
    log:
        f"logs/{R}/{{lineage}}/write_recipe.log",
    wildcard_constraints:
        lineage=LINEAGE,
    localrule: True
    params:
        settings=lambda wc: settings(recipe_settings(CONFIG, adapter(wc))),
        model=lambda wc, input: dirname(input.model),
        data=data_of,
    shell:
        "python -m scripts.write_recipe --settings {params.settings:q} --model {params.model:q}"
        " --data {params.data:q} --parents {input.parents:q} --output {output:q} 2>&1 | tee {log:q}"


rule train_adapter:
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=f"{MODEL}/receipt.json",
        data=learning_files,
        parents=lambda wc: parents(wc, "adapter/receipt.json"),
    output:
        **{key: f"{R}/{{lineage}}/adapter/{file}" for key, file in artifacts.ADAPTER_FILES.items()},
    log:
        f"logs/{R}/{{lineage}}/train_adapter.log",
    wildcard_constraints:
        lineage=TRAINED,
    threads: 8  # at most; --cores and the profile bring it down
    resources:
        processes=1,  # one a GPU; more than one train it together (docs/multi-gpu.md)
    params:
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        parent=lambda wc: ["--parent", f"{R}/{p}/adapter"] if (p := adapter(wc).parent) else [],
        logging=["--log-steps", CONFIG.logging.steps, "--report-to", *CONFIG.logging.report_to],
        checkpoints=f"{R}/checkpoints",
        folder=lambda wc, output: dirname(output.weights),
        image=IMAGE,
    shell:
        "python -m scripts.train_adapter --recipe {input.recipe:q} --model {params.model:q} --data {params.data:q}"
        " {params.parent:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
        " {params.logging:q} --processes {resources.processes} {params.image:q} 2>&1 | tee {log:q}"


rule merge_adapters:
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=f"{MODEL}/receipt.json",
        data=learning_files,
        parents=lambda wc: parents(wc, "adapter/receipt.json"),
    output:
        **{key: f"{R}/{{lineage}}/adapter/{file}" for key, file in artifacts.ADAPTER_FILES.items()},
    log:
        f"logs/{R}/{{lineage}}/merge_adapters.log",
    wildcard_constraints:
        lineage=MERGED,
    params:
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        parents=lambda wc: parents(wc, "adapter"),
        checkpoints=f"{R}/checkpoints",
        folder=lambda wc, output: dirname(output.weights),
        image=IMAGE,
    shell:
        "python -m scripts.merge_adapters --recipe {input.recipe:q} --model {params.model:q} --data {params.data:q}"
        " --parents {params.parents:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
        " {params.image:q} 2>&1 | tee {log:q}"
