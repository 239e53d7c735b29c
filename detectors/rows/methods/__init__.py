"""Methods that score rows, all under the contract of `scorer`; `registry` lists them."""
