"""Evaluation: one engine start answers a suite; scoring reads responses and needs no GPU. Measures have engines too."""


rule generate:
    input:
        inputs("generate"),
    output:
        record=paths.evaluation("{key}", "responses.json"),
        responses=paths.evaluation("{key}", "responses.parquet"),
    log:
        paths.log("generate", "{key}"),
    conda:
        ENVIRONMENT
    threads: asked("generate", "threads")
    resources:
        **on_model("generate"),
    params:
        spec=spec("generate"),
    shell:
        command("generate")


rule score:
    input:
        inputs("score"),
    output:
        record=paths.evaluation("{key}", "scores.json"),
        scores=paths.evaluation("{key}", "scores.parquet"),
    log:
        paths.log("score", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(2000),
        runtime=120,
    params:
        spec=spec("score"),
    shell:
        command("score")


rule import:
    input:
        inputs("import"),
    output:
        record=paths.imported("{key}", "scores.json"),
        scores=paths.imported("{key}", "scores.parquet"),
        responses=paths.imported("{key}", "responses.parquet"),
    log:
        paths.log("import", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(2000),
        runtime=120,
    params:
        spec=spec("import"),
    shell:
        command("import")


rule measure:
    input:
        inputs("measure"),
    output:
        record=paths.measure("{key}", "measure.json"),
        values=paths.measure("{key}", "values.parquet"),
    log:
        paths.log("measure", "{key}"),
    conda:
        ENVIRONMENT
    threads: asked("measure", "threads")
    resources:
        **on_model("measure"),
    params:
        spec=spec("measure"),
    shell:
        command("measure")
