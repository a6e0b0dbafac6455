"""Portfolios: risk profiles, their accounts, and the meta-portfolio over sleeves."""
