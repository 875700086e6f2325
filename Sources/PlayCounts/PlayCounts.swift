// The room PlayCounts.
