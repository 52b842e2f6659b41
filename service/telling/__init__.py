"""Who is told what, in which words: letters (`service.letters`) of whatever happens, a module per noun.

Each function goes into the transaction of what it tells of, on a connection that acts for the house. No letter tells
anybody who another party is.
"""
