"""Generation, the response store and scoring."""
