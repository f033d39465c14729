"""Probes, plans and joins clips into one film. Needs no internet: it parses untrusted media."""
