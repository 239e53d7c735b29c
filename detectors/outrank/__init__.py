"""Cardinality-aware feature ranking by mutual information with a binary label.

After OutRank (Škrlj and Mramor, RecSys 2023, arXiv 2309.01552): the score of a feature is its mutual information with
the label less what a feature of the same cardinality would have by chance. The chance part is computed exactly from
counts, so the score depends neither on the order of rows nor on a random generator. All scores are in nats.
"""
