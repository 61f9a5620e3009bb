"""Everything that reads bytes of strangers, fed with damaged ones: `python -m tests.fuzz --inputs 1000000`.

Seeds are sound inputs; each is cut, spliced, repeated and overwritten. What counts: an exception that the
reader does not announce (a crash), more than a second of processor time for one input (a hang), memory that
grows.
"""
