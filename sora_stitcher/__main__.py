"""`python -m sora_stitcher`, the same as `sora-stitcher`."""

from sora_stitcher.cli import main

if __name__ == "__main__":
    main()
