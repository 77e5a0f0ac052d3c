"""From file bytes to float32 RGB and back."""
