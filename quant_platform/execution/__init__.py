"""From the target portfolio to reconciled fills: overlay, plan, gates, orders, paper broker, book.

``simulation`` holds the chain of an evening; every other module is one link of it and knows no
other session than its own. ``paper_broker`` and ``book`` share no code on purpose: what they agree
on is what ``reconcile`` proves.
"""
