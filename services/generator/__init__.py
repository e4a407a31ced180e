"""Plays simulated league games into the warehouse."""
