"""Independent references for the tests, derived from the loss as a plain forward pass and nothing else."""
