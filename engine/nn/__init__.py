"""Neural building blocks of the real-time core: they hold weights only, state is an argument.

Enters: tensors. Leaves: tensors. Does not know about glosses, motion or pictures.
"""
