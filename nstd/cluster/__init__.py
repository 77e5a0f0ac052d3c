"""Workers on other machines: actors in a Ray cluster, and what stands between them and the daemon."""
