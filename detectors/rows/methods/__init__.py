"""Methods that score rows, all with the contract of `scorer`; `registry` lists them."""
