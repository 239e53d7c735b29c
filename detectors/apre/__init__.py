"""Row-anomaly scores by probabilistic reconstruction error (APRE).

A small probabilistic autoencoder is trained on encoded rows (`net`, `train`); a row's score is the weighted negative
log-likelihood of its encoding under its own reconstruction (`score`). `scorer` joins them to a method of
`detectors.rows`. A higher score is more anomalous. Source: arXiv 2304.00709.
"""
