"""What tests share: real services on free ports, builders, and waiting with a deadline."""
