// The room BrokerCore.
