"""`sparsewatch train`: wafer models, row models and references from files."""
