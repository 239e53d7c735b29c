"""Where a change is: the smallest slice of rows that carries it, found in two samples of whole rows.

Pure functions of a sample from before and one from now: `columns` codes both, `scan` says what of a change a slice has,
`search` finds the slice (`bits` counts its rows), `told` words it.
"""
