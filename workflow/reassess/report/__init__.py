"""What a person looks at: the check of a study, its status, and the reference of its keys."""
