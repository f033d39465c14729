"""The kie.ai twin."""

from sandbox.kie.app import CATALOGUE, KieTwin

__all__ = ["CATALOGUE", "KieTwin"]
