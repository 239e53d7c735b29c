"""Judgement of a stream as such, the same for every kind of job: its volume, its silences, what is set aside of it."""
