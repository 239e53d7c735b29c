"""Orders of people to a job: given by commands, and shown."""
