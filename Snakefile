"""Reassess: pools and models, then training, evaluation, tables and figures. `reassess check` counts the jobs."""

from snakemake.utils import min_version

min_version("9.27")


# A study given with --configfile is the whole study: Snakemake would merge it into the default one.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/analyse.smk"


localrules:
    all,
    tables_partial,


rule all:
    default_target: True
    input:
        GRAPH["tables", "all"].outputs,
        GRAPH["figures", "all"].outputs,
        targets.holes(GRAPH),
