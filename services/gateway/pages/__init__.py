"""The dashboard: pages at `/` for people who make films and people who run the installation.

Rendered here, enlivened by two small scripts of our own; works, but for what is live, without them.
"""
