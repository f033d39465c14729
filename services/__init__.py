"""The four services, in the order the data flows: gateway, generator, stitcher, uploader."""
