"""Tells an Alertmanager of the incidents of jobs: `sparsewatch notify`."""
