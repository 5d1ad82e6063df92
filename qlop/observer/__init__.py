"""Look at the cluster at a constant cost and say what could not be seen."""
