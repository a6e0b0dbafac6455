"""The stages of the chain, one module each; ``sleeve_stages`` puts a sleeve's branch together."""
