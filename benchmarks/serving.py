"""The server of benchmarks is that of `handstream bench`."""

from stream.bench.serving import ROOT, ServerProcess, where

__all__ = ["ROOT", "ServerProcess", "where"]
