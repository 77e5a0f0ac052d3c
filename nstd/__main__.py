"""Makes `python -m nstd` the same as `nstd`."""

from nstd.cli import main

main()
