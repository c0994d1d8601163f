"""Networks that others published, with the attribute names of their checkpoints, so that a state dict fits as it is."""
