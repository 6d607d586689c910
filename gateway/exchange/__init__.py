"""The monthly exchange between two registry platforms that do not talk to each other: what each has, what they lack, what differs.

Pure: records, persons and tumours in, comparisons and proposals out. What lasts is in `gateway.exchanging`.
"""
