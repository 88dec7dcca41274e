"""Training stages, and what all of them share."""
