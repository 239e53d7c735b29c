"""What flows through sparsewatch: blocks, alerts, accounts, rejects, metrics and job settings. No Beam, no Kafka."""
