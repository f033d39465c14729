"""The Airtable twin."""

from sandbox.airtable.app import CATALOGUE, AirtableTwin

__all__ = ["CATALOGUE", "AirtableTwin"]
