"""Evaluation: one engine start answers a suite; scoring reads responses and needs no GPU."""


rule generate:
    input:
        checkpoint=checkpoint_record,
        benchmarks=lambda wildcards: [
            f"{paths.benchmark(name)}/manifest.json"
            for name in STUDY.suites[wildcards.suite].benchmarks
        ],
    output:
        responses=paths.evaluation("{cell}", "{suite}", "responses.parquet"),
        record=paths.evaluation("{cell}", "{suite}", "responses.json"),
    log:
        "results/logs/generate/{cell}/{suite}.log",
    conda:
        ENVIRONMENT
    threads: lambda wildcards: generating(wildcards).threads
    resources:
        gpu=lambda wildcards: generating(wildcards).gpu,
        mem_mb=lambda wildcards: generating(wildcards).mem_mb,
        runtime=lambda wildcards: generating(wildcards).runtime,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=lambda wildcards: identity.suite_spec(
            STUDY, grid.model_of(wildcards.cell), wildcards.suite
        ),
    shell:
        "reassess generate --study {params.study} --cell {wildcards.cell} --suite {wildcards.suite}"
        " --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule score:
    input:
        responses=rules.generate.output.responses,
        record=rules.generate.output.record,
        answers=lambda wildcards: [
            STUDY.benchmarks[name].judge_model.answers
            for name in STUDY.suites[wildcards.suite].benchmarks
            if STUDY.benchmarks[name].judge_model
        ],
    output:
        scores=paths.evaluation("{cell}", "{suite}", "scores.parquet"),
        record=paths.evaluation("{cell}", "{suite}", "scores.json"),
    log:
        "results/logs/score/{cell}/{suite}.log",
    conda:
        ENVIRONMENT
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=lambda wildcards: identity.score_spec(STUDY, wildcards.suite),
    shell:
        "reassess score --study {params.study} --cell {wildcards.cell} --suite {wildcards.suite}"
        " --threads {threads} > {log} 2>&1"
