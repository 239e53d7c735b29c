"""`sparsewatch init`: a job file from a look at a topic, or at files.

A bounded sample is read (`topic`, `files`), becomes columns (`records`, `sample`), is looked at for its event times
(`event_time`) and their pace (`pace`); each kind of job then drafts what its job file says of them (`draft`), and the
file is written with the reasons as comments (`job_text`). The file is held against the sample before it is written: by
the decoder that the job has.
"""
