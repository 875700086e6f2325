import BrokerCore
import Transport
import UVLoop

extension EmbeddedBroker {
    /// The reason why a broker cannot start.
    public struct StartError: Error, Equatable, Sendable, CustomStringConvertible {
        /// The kind of error. Later versions can add codes.
        public struct Code: Hashable, Sendable, CustomStringConvertible {
            private enum Kind: String {
                case invalidConfiguration, invalidAddress, addressInUse, cannotListen
                case unusableTLS, unusableDataPath, outOfResources
            }

            private let kind: Kind

            /// A setting is out of its range, or contradicts another setting.
            public static let invalidConfiguration = Self(kind: .invalidConfiguration)
            /// An address is neither `host:port` nor the path of a Unix-domain socket.
            public static let invalidAddress = Self(kind: .invalidAddress)
            /// Another process, or another broker of this process, listens at an address.
            public static let addressInUse = Self(kind: .addressInUse)
            /// The broker cannot listen at an address for another reason, such as a missing
            /// permission or an unknown host name.
            public static let cannotListen = Self(kind: .cannotListen)
            /// A certificate or a key cannot be used.
            public static let unusableTLS = Self(kind: .unusableTLS)
            /// The data path cannot be opened, another process uses it, or its files are damaged.
            public static let unusableDataPath = Self(kind: .unusableDataPath)
            /// The process has no file descriptors or threads left.
            public static let outOfResources = Self(kind: .outOfResources)

            /// The name of the code, such as `addressInUse`.
            public var description: String { kind.rawValue }
        }

        /// The kind of error.
        public let code: Code
        /// The address that the broker could not use; `nil` if the error is not about an address.
        public let address: String?
        /// The cause of the error, as one sentence.
        public let reason: String
        /// The service that uses the address; `nil` if the error is not about an address.
        package let service: Service?

        /// The services of a broker with an address of their own.
        package enum Service: String, Sendable {
            case tcp, http, https
        }

        /// A message for logs and users; for an address, the text that nsqd logs.
        public var description: String {
            address.map { "listen (\($0)) failed - \(reason)" } ?? reason
        }

        private init(
            _ code: Code, address: String? = nil, of service: Service? = nil, _ reason: String
        ) {
            self.code = code
            self.address = address
            self.service = service
            self.reason = reason
        }

        static func invalidConfiguration(_ reason: String) -> Self {
            Self(.invalidConfiguration, reason)
        }

        static func invalidAddress(
            _ address: String, of service: Service, _ reason: String
        ) -> Self {
            Self(.invalidAddress, address: address, of: service, reason)
        }

        /// Creates the error of an address at which the broker cannot listen.
        init(listeningAt endpoint: Endpoint, of service: Service, _ error: UVError) {
            // A failed name resolution precedes the bind.
            var reason = error.name.hasPrefix("EAI_") ? error.message : "bind: \(error.message)"
            if error == .addressInUse, case .unix(let path) = endpoint {
                reason += "; if no process listens there any more, remove \(path)"
            }
            let code: Code = error == .addressInUse ? .addressInUse : .cannotListen
            self.init(code, address: endpoint.description, of: service, reason)
        }

        /// Creates the error of a thread or a loop that cannot be created.
        init(startingAt address: String, _ error: UVError) {
            self.init(.outOfResources, address: address, of: .tcp, "\(error)")
        }

        /// Creates the public error for any error of a start.
        init(_ error: any Error) {
            switch error {
            case let error as StartError: self = error
            case let error as TLSSetupError: self.init(.unusableTLS, error.description)
            case let error as MessageLogError: self.init(.unusableDataPath, error.description)
            default: self.init(.invalidConfiguration, "\(error)")
            }
        }
    }
}
