"""nstd turns photos dropped into a folder into paintings, by neural style transfer."""

__version__ = "0.1.0"
