"""Video providers: orders out, typed outcomes back. kie.ai for real, one in memory for tests."""
