"""One module per style image, and the studio they share."""
