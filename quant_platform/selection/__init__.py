"""Selection among the candidates: scores, vetoes, policy."""
