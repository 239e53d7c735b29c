"""What commands share on a terminal."""
