"""From YAML text to validated settings, every error with file, line and column."""
