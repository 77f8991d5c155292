"""Which experts a token goes to next, one file a predictor."""
