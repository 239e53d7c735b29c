"""`sparsewatch rejects`: rejected records listed, repaired and replayed."""
