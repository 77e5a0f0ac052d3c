"""The file-system protocol by which nothing is lost; knows no images and no TensorFlow."""
