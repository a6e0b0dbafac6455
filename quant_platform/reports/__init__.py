"""What people read: figures of an evening as a table, one HTML page, and the same as Markdown.

Figures are computed once (``figures``); pages only show them, together with rows of the tables that
they were computed from. Nothing here writes a file.
"""
