"""One recipe and one adapter per lineage. A child's folder lies inside its parent's, so arms share their first stages.

Requires   {results}/data/{task}/*.jsonl, models/{name}/receipt.json, the parents' recipe and adapter
Produces   {results}/{lineage}/recipe.json     everything that determines the adapter's bytes, and its fingerprint
           {results}/{lineage}/adapter/        weights, tokenizer, recipe, training log, model card and receipt

A process that has made an adapter goes on with the base model that it has loaded: it scores the adapter, and trains
others from the same parent (stagewise/training/siblings.py). All of that goes to the cache, {results}/checkpoints, from
which the jobs of these adapters and predictions copy it.
"""

TRAININGS = [adapter.training for adapter in ADAPTERS.values() if adapter.training]


rule write_recipe:
    """Write down everything that determines an adapter."""
    input:
        model=model_receipt,
        data=learning_splits,
        prompts=learning_prompts,
        code=lambda wc: adapter_of(wc).remedies.files,
        parents=parent_files("recipe.json"),
        taken=taken_from,
    output:
        f"{R}/{{lineage}}/recipe.json",
    log:
        f"logs/{R}/{{lineage}}/write_recipe.log",
    priority: 1  # a training looks for the recipes of its siblings
    localrule: True
    params:
        settings=lambda wc: write_settings(recipe_settings(CONFIG, adapter_of(wc))),
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        taken=lambda wc, input: ["--taken", dirname(input.taken[0])] if input.taken else [],
    shell:
        "python -m scripts.write_recipe --settings {params.settings:q} --model {params.model:q} --data {params.data:q}"
        " --parents {input.parents:q} {params.taken:q} --output {output:q} 2>&1 | tee {log:q}"


rule train_adapter:
    """Train one stage, on from its parent's weights if it has a parent."""
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=model_receipt,
        data=learning_splits,
        parents=parent_files("adapter/receipt.json"),
        preflight=preflight_before("adapter/receipt.json"),
    output:
        weights=f"{R}/{{lineage}}/adapter/adapter_model.safetensors",
        config=f"{R}/{{lineage}}/adapter/adapter_config.json",
        card=f"{R}/{{lineage}}/adapter/README.md",
        log=f"{R}/{{lineage}}/adapter/training_log.csv",
        summary=f"{R}/{{lineage}}/adapter/training.json",
        receipt=f"{R}/{{lineage}}/adapter/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/train_adapter.log",
    wildcard_constraints:
        lineage=rf"{LINEAGES}/(?!{MERGED}|{ADOPTED}|{TUNED})[^/]+",
    group:
        one_job
    threads: threads_of
    resources:
        processes=1,  # one a GPU; more than one train it together (docs/running/multi-gpu.md)
        gpu=gpus_of("train_adapter"),
        micro_batch="auto",  # items per forward pass, which change no result (docs/running/laptop.md)
        gradient_checkpointing="on" if any(training.gradient_checkpointing for training in TRAININGS) else "auto",
        trainings=4,  # adapters of one parent that a process trains at most
        scores=1,  # 0 leaves scoring to the prediction step
        frozen_layers_mb=2000,  # of the frozen layers' output that may be kept on a CPU; 0 keeps none
    params:
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        parent=lambda wc: ["--parent", f"{R}/{p}/adapter"] if (p := adapter_of(wc).parent) else [],
        logging=["--log-steps", CONFIG.logging.steps, "--report-to", *CONFIG.logging.report_to],
        batches=["--tokens-per-batch", CONFIG.evaluation.tokens_per_batch],
        # On a CPU one number for all, so that a job that trains several adapters makes the same bytes.
        batch_size=min([training.batch_size for training in TRAININGS], default=1),
        scoring=scoring,
        siblings=siblings,
        limit=time_limit,
        checkpoints=f"{R}/checkpoints",
        folder=f"{R}/{{lineage}}/adapter",
        image=IMAGE,
    shell:
        "python -m scripts.train_adapter --recipe {input.recipe:q} --model {params.model:q} --data {params.data:q}"
        " {params.parent:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
        " --frozen-layers-mb {resources.frozen_layers_mb} {params.logging:q} {params.batches:q} {params.scoring:q}"
        " {params.siblings:q} --processes {resources.processes}"
        " --micro-batch {resources.micro_batch} --batch-size {params.batch_size}"
        " --gradient-checkpointing {resources.gradient_checkpointing} {params.limit:q} {params.image:q}"
        " 2>&1 | tee {log:q}"


rule merge_adapters:
    """Make one adapter of finished ones, without training."""
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=model_receipt,
        data=learning_splits,
        parents=parent_files("adapter/receipt.json"),
    output:
        weights=f"{R}/{{lineage}}/adapter/adapter_model.safetensors",
        config=f"{R}/{{lineage}}/adapter/adapter_config.json",
        card=f"{R}/{{lineage}}/adapter/README.md",
        log=f"{R}/{{lineage}}/adapter/training_log.csv",
        summary=f"{R}/{{lineage}}/adapter/training.json",
        receipt=f"{R}/{{lineage}}/adapter/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/merge_adapters.log",
    wildcard_constraints:
        lineage=rf"{LINEAGES}/{MERGED}[^/]+",
    group:
        one_job
    threads: threads_of  # for scoring
    resources:
        scores=0 if GPUS else 1,  # it computes on the CPU; 0 leaves scoring to the prediction step
        frozen_layers_mb=2000,  # as in the rule train_adapter
    params:
        model=lambda wc, input: dirname(input.model),
        data=data_of,
        parents=parent_files("adapter"),
        scoring=scoring,
        checkpoints=f"{R}/checkpoints",
        folder=f"{R}/{{lineage}}/adapter",
        image=IMAGE,
    shell:
        "python -m scripts.merge_adapters --recipe {input.recipe:q} --model {params.model:q} --data {params.data:q}"
        " --parents {params.parents:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
        " --frozen-layers-mb {resources.frozen_layers_mb} {params.scoring:q} {params.image:q} 2>&1 | tee {log:q}"


rule adopt_adapter:
    """Put an adapter from elsewhere in its place, once it is known to fit the base model."""
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=model_receipt,
        taken=taken_from,
        data=learning_splits,
    output:
        weights=f"{R}/{{lineage}}/adapter/adapter_model.safetensors",
        config=f"{R}/{{lineage}}/adapter/adapter_config.json",
        card=f"{R}/{{lineage}}/adapter/README.md",
        log=f"{R}/{{lineage}}/adapter/training_log.csv",
        summary=f"{R}/{{lineage}}/adapter/training.json",
        receipt=f"{R}/{{lineage}}/adapter/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/adopt_adapter.log",
    wildcard_constraints:
        lineage=rf"{LINEAGES}/{ADOPTED}[^/]+",
    localrule: True
    params:
        model=lambda wc, input: dirname(input.model),
        adapter=lambda wc, input: dirname(input.taken[0]),
        data=data_of,
        checkpoints=f"{R}/checkpoints",
        folder=f"{R}/{{lineage}}/adapter",
        image=IMAGE,
    shell:
        "python -m scripts.adopt_adapter --recipe {input.recipe:q} --model {params.model:q}"
        " --adapter {params.adapter:q} --data {params.data:q} --checkpoints {params.checkpoints:q}"
        " --output {params.folder:q} {params.image:q} 2>&1 | tee {log:q}"


rule adopt_model:
    """Put a fully fine-tuned model in the place of an adapter."""
    input:
        recipe=f"{R}/{{lineage}}/recipe.json",
        model=model_receipt,
        taken=taken_from,
        data=learning_splits,
    output:
        model=f"{R}/{{lineage}}/adapter/model.json",
        card=f"{R}/{{lineage}}/adapter/README.md",
        log=f"{R}/{{lineage}}/adapter/training_log.csv",
        summary=f"{R}/{{lineage}}/adapter/training.json",
        receipt=f"{R}/{{lineage}}/adapter/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/adopt_model.log",
    wildcard_constraints:
        lineage=rf"{LINEAGES}/{TUNED}[^/]+",
    localrule: True
    params:
        model=lambda wc, input: dirname(input.model),
        tuned=lambda wc, input: dirname(input.taken[0]),
        data=data_of,
        checkpoints=f"{R}/checkpoints",
        folder=f"{R}/{{lineage}}/adapter",
        image=IMAGE,
    shell:
        "python -m scripts.adopt_model --recipe {input.recipe:q} --model {params.model:q} --tuned {params.tuned:q}"
        " --data {params.data:q} --checkpoints {params.checkpoints:q} --output {params.folder:q} {params.image:q}"
        " 2>&1 | tee {log:q}"
