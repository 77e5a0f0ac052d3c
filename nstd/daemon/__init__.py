"""The process that watches, queues, publishes and keeps the worker alive."""
