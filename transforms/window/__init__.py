"""A window measured in parts and closed exactly once."""
