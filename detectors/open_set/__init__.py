"""Open-set recognition: how unlike the known classes a latent is, and how sure one can be of that."""
