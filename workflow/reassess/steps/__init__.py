"""The ways in which examples are made from others, one file each."""
