"""What `overhead.py` and `growth.py` measure with."""
