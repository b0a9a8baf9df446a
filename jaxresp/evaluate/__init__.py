"""How good an answer is, for whom, and how sure we are of that."""
