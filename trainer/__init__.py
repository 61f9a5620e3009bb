"""Produces the models. Nobody imports it."""
