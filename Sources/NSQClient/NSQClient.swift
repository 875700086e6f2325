// The room NSQClient.
