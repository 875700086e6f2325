/// The version of NSQ with which the programs are compatible.
let nsqVersion = "1.3.0"
