"""Base models: toys built here, local checkpoints, or pinned hub snapshots."""


rule model:
    input:
        inputs("model"),
    output:
        manifest=paths.model("{key}", "manifest.json"),
    log:
        paths.log("model", "{key}"),
    # The longest chain of a small study starts here.
    priority: 20
    conda:
        ENVIRONMENT
    threads: asked("model", "threads")
    resources:
        **on_model("model"),
    params:
        spec=spec("model"),
    shell:
        command("model")
