"""The Snakemake that a user started: one at a time, what it asks of Slurm, and what it says at its end."""
