"""One reader of tables for all commands: Parquet, CSV and JSON lines, plain or packed, files, folders and patterns.

`open_table` looks at files, says which columns of which types they hold and gives their rows in pieces; what lies in
the other files is for those who read a format in a way of their own, such as `sparsewatch rank`.
"""
