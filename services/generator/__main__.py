"""`python -m services.generator`."""

from services.generator.bootstrap import build
from shared.bus.topology import GENERATOR
from shared.entrypoint import run_worker

if __name__ == "__main__":
    run_worker("generator", GENERATOR, build)
