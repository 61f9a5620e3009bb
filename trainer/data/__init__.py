"""Corpora to tensors: one module a corpus."""
