"""`sparsewatch publish`: files sent to a topic, paced if asked."""
