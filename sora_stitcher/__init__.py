"""Sora Video Stitcher for people: the command line, the embedded system, the Python library."""
