"""The screener of TradingView: what it says of tonight, kept as it was said.

``fields`` knows its columns and their units, ``query`` builds questions, ``client`` asks them,
``answer`` reads what comes, ``taking`` does all of it within the hours of a session (``hours``) and
hands it to ``store``. ``source`` answers from the store alone: no table of the graph reaches for
the network.
"""
