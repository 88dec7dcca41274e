"""Base models: built here, or pinned from a hub; and loading any checkpoint."""
