"""Training: one rule for every stage, from the base model or from a parent checkpoint."""


rule train:
    input:
        inputs("train"),
    # Checkpoints, the model and its log are not declared: Snakemake would delete them with a failed job's outputs, and
    # what another job has just finished before this one looks at it. And no lost log is worth a training.
    output:
        paths.run("{key}", "run.json"),
    log:
        paths.log("train", "{key}"),
    priority: 10
    conda:
        ENVIRONMENT
    threads: asked("train", "threads")
    resources:
        **on_model("train"),
    params:
        spec=spec("train"),
    shell:
        command("train")
