"""Report cards in spreadsheets: workbooks that hospitals and the exchange hand in, and those that are made for them.

Which column is which, and which words stand for which code, is data (``mappings/sources/cards/``).
"""
