"""The viewer of tests is the one that benchmarks use."""

from stream.bench.viewer import Viewer

__all__ = ["Viewer"]
