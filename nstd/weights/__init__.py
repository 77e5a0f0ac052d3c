"""Find, fetch, verify and convert the network's weights; NumPy only."""
