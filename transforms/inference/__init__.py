"""Models as Beam transforms, for pipelines of a user's own."""
