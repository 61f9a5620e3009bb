"""Figures of merit, with the conventions that `docs/glosser.md` states."""
