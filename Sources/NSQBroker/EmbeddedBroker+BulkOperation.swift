import BrokerCore

extension EmbeddedBroker {
    /// The progress of a change of all messages that a filter selects.
    public struct BulkOperation: Sendable, Equatable {
        /// The state of an operation.
        public enum State: Sendable, Equatable {
            /// The operation runs in the background.
            case running
            /// All messages were examined, and the changes are as durable as a publish.
            case finished
            /// The operation was cancelled. What it had changed stays changed.
            case cancelled
            /// The operation cannot continue, for the reason `code`. What it had changed stays changed.
            case failed(code: AdministrationError.Code)
        }

        /// The number that identifies the operation in its broker.
        public let number: Int
        /// The state of the operation.
        public let state: State
        /// The number of unfinished messages of the channel when the operation began.
        public let messageCount: Int
        /// The number of messages whose state was examined so far.
        public let examinedCount: Int
        /// The number of selected messages so far.
        public let selectedCount: Int
        /// The number of changed messages so far.
        public let changedCount: Int

        init(_ operation: BrokerCore.BulkOperation) {
            number = operation.number
            messageCount = operation.messageCount
            examinedCount = operation.examinedCount
            selectedCount = operation.selectedCount
            changedCount = operation.changedCount
            state =
                switch operation.state {
                case .running: .running
                case .finished: .finished
                case .cancelled: .cancelled
                case .failed(let error): .failed(code: AdministrationError(error).code)
                }
        }
    }
}
