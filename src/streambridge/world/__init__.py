"""A procedural video world with exact ground truth. Knows no model."""
