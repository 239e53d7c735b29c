"""What a job wrote, for people: its windows, alerts and results."""
