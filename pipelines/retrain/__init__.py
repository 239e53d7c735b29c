"""`sparsewatch retrain`: a row model retrained, tried in a shadow run, promoted, watched and rolled back."""
