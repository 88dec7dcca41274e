"""The rewards of reinforcement learning, one file each."""
