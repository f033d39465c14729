"""Gets clips made and brought home; the only service that talks to video providers."""
