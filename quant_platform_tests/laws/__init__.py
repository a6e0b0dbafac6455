"""The laws as tests: each finds the tables in the graph by itself, so a new table is covered.

A module per law holds ``check_…`` functions that anybody may call on any graph; ``test_…`` modules
apply them to the shipped graph, and to graphs with a planted leak to prove that they bite.
"""
