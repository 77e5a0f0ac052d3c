"""What a user would run instead of nstd, and nstd in the same form, each in a process of its own."""
