"""Read a node over SSH with a key that can do nothing else."""
