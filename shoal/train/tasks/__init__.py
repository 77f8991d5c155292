"""Small sets of real data from installed packages: pictures, figures, text."""
