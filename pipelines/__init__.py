"""Jobs and commands: a command's room bears its name on the command line, a job's room its `kind`."""
