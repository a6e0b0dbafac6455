"""The market's regime: which labels there are, what holds each, and when a change is believed.

What belongs here: the rules of the regime models and the smoothing of their labels. What does not:
what a regime is used for.
"""
