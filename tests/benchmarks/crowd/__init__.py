"""A place that has been used for a year, made in minutes: people, portfolios, sales through the gateway's own verbs at
the times they would have been, papers, payouts, disputes, and what is written beside them.

It is skewed as real places are: one creator sells a third of everything, one of their styles has half a thousand works,
one client makes a fifth of the orders. Pictures are one small file under many names.
"""
