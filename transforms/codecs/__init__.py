"""Records to columns: JSON (an event a record) and Arrow IPC (many events a record), strict; bad ones are set aside."""
