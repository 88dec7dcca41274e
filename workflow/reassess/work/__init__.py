"""How one job runs: its turn, lock, record, GPUs, and where its result comes from."""
