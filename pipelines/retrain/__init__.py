"""`sparsewatch retrain`: a row model trained anew, tried in a shadow run, promoted, watched and rolled back."""
