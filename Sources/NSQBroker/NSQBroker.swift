// The room NSQBroker.
