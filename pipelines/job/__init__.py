"""What every kind of job shares: its file, its topics, its readers, its models and the closing of its windows."""
