// The room UVLoop.
