"""`sparsewatch models`: versions listed, verified, promoted and rolled back."""
