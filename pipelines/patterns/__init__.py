"""`sparsewatch patterns`: emerging wafer patterns listed, drawn, named, merged and dismissed."""
