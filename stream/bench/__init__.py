"""Measurements of a running server: each begins with the limit and ends with a JSON line and a page of plots.

Each benchmark is a module with `add_arguments(parser)` and `run(args) -> Outcome` (see outcome.py), and is
named in the table of `stream.bench_command`. Nothing else imports this package.
"""
