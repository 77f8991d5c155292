"""Small programs that find one rate of this machine each."""
