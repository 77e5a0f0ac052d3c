"""One job, from images to a painting, in a child process of its own."""
