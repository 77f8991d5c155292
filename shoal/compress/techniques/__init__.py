"""Ways to store a layer's weights in fewer bits."""
