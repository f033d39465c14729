"""Delivers outward: the film and the Status to Airtable."""
