"""The embedded market: a deterministic market of stocks, funds and coins that lives and is dirty.

Read `state` (what all share), `roster` and `roles` (who there is), `happenings` (what happens),
`paths` (a block of days), `market` (bars and dirt), `facts` and `series` (everything else), and
`source` (the protocol). `planted` says what is hidden in it; `truth`, which only validation and
tests may import, says where.
"""
