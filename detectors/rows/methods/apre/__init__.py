"""Row-anomaly scores by reconstruction error, after arXiv 2304.00709 (APRE in v1, WNLL and MSS in v3).

A small autoencoder is trained on encoded rows (`net`, `loss`, `train`). A row's score is the weighted negative
log-likelihood of its encoding under its own reconstruction, or the squared error (`score`); with mean shift the row is
first moved towards its neighbours (`mean_shift`), if a guard agrees (`shift_guard`). `scorer` and `shifted_scorer`
make methods of `sparsewatch.detectors.rows` of it; the authors' protocol, which selects with labels, is
`benchmarks.apre_labelled`. A higher score is more anomalous.
"""
