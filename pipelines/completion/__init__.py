"""`sparsewatch completion`: commands, options and files completed by the shell."""
