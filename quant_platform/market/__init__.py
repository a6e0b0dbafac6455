"""What comes in from sources: hygiene, bars."""
