"""Evaluation: one engine start answers a suite; scoring reads responses and needs no GPU."""

# Once per suite and not per job: a study may have thousands of these.
ANSWERS = {
    suite: [
        STUDY.benchmarks[name].judge_model.answers
        for name in spec.benchmarks
        if STUDY.benchmarks[name].judge_model
    ]
    for suite, spec in STUDY.suites.items()
}
SUITE_SPECS = {
    (model, suite): identity.suite_spec(STUDY, model, suite)
    for model in STUDY.models
    for suite in STUDY.suites
}
SCORE_SPECS = {suite: identity.score_spec(STUDY, suite) for suite in STUDY.suites}


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
        mem_mb=lambda wildcards, attempt: generating(wildcards, attempt).mem_mb,
        runtime=lambda wildcards, attempt: generating(wildcards, attempt).runtime,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=lambda wildcards: SUITE_SPECS[
            grid.model_of(wildcards.cell), wildcards.suite
        ],
    shell:
        "reassess generate --study {params.study} --cell {wildcards.cell} --suite {wildcards.suite}"
        " --threads {threads} --gpus {resources.gpu} >> {log} 2>&1"


rule score:
    input:
        responses=rules.generate.output.responses,
        record=rules.generate.output.record,
        answers=(
            (lambda wildcards: ANSWERS[wildcards.suite])
            if any(ANSWERS.values())
            else []
        ),
    output:
        scores=paths.evaluation("{cell}", "{suite}", "scores.parquet"),
        record=paths.evaluation("{cell}", "{suite}", "scores.json"),
    log:
        "results/logs/score/{cell}/{suite}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=120,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=lambda wildcards: SCORE_SPECS[wildcards.suite],
    shell:
        "reassess score --study {params.study} --cell {wildcards.cell} --suite {wildcards.suite}"
        " --threads {threads} >> {log} 2>&1"
