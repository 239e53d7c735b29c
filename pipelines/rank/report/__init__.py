"""What `sparsewatch rank` found, shown: on the screen, as files, as one page, as pictures."""
