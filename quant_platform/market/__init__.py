"""What comes in from sources, sorted out, and the returns that are made of it."""
