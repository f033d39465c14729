"""`python -m services.stitcher`."""

from services.stitcher.bootstrap import build
from shared.bus.topology import STITCHER
from shared.entrypoint import run_worker

if __name__ == "__main__":
    run_worker("stitcher", STITCHER, build)
