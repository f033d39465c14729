"""`python -m services.uploader`."""

from services.uploader.bootstrap import build
from shared.bus.topology import UPLOADER
from shared.entrypoint import run_worker

if __name__ == "__main__":
    run_worker("uploader", UPLOADER, build)
