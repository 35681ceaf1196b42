"""How results look in a notebook: small HTML tables, loaded when a notebook first asks for one.

`html` has the pieces, the other modules one kind of object each. They read public attributes of what they are given and
import nothing of the rooms above, so that every room may use them.
"""
