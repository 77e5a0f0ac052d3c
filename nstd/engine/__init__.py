"""Neural style transfer as pure numerics: tensors and arrays, no files."""
