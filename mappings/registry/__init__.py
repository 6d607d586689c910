"""What cancer registration knows: code lists, conversions and the rules that decide what is one tumour.

The knowledge stands in tables (``mappings/codes/registry``, each row with source and confidence); these modules read them. They know codes only:
no person, no stay, no card.
"""
