"""Pure arithmetic: events against timelines. Knows no model and no file."""
