"""Formats of files that hold arrays. ``open_rows`` of each gives Rows: a name, a shape, a dtype, and its rows in order."""
