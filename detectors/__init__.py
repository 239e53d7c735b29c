"""The mathematics: plain functions and small state objects. No Beam, no Kafka, no clock."""
