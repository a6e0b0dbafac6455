"""Sources: what they deliver, when it became known, and what they planted."""
