"""Twelve pairs, painted by several contenders, measured and laid out to be looked at."""
