import Foundation

/// The types of jobs that a worker can perform, by their names.
public struct JobHandlers: Sendable {
    /// Decodes the arguments of a job, and performs it.
    package typealias Handler = @Sendable (JobContext) async throws -> Void

    private var handlers: [String: Handler] = [:]
    private var fallback: Handler?

    /// Creates a registry without types.
    public init() {}

    /// Registers a type, whose ``Job/perform(_:)`` is called.
    ///
    /// - Precondition: no handler with the same name is registered.
    public mutating func register<Work: Job>(_ type: Work.Type) {
        register(type) { try await $0.perform($1) }
    }

    /// Registers a type with another function than ``Job/perform(_:)``, for example one that passes the
    /// dependencies of the program.
    ///
    /// - Precondition: no handler with the same name is registered.
    public mutating func register<Work: Job>(
        _ type: Work.Type, _ perform: @escaping @Sendable (Work, JobContext) async throws -> Void
    ) {
        register(name: Work.name) { context in
            let job: Work
            do {
                job = try JobCoding.decoder.decode(
                    Work.self, from: Data(context.job.arguments.utf8))
            } catch {
                throw UndecodableArguments(error)
            }
            try await perform(job, context)
        }
    }

    /// Registers a function for a name. It reads the arguments as JSON from the context.
    ///
    /// - Precondition: no handler with the same name is registered.
    public mutating func register(
        name: String, _ perform: @escaping @Sendable (JobContext) async throws -> Void
    ) {
        precondition(handlers[name] == nil, "a handler for '\(name)' is registered already")
        handlers[name] = perform
    }

    /// Registers a function for all names that have no other handler.
    public mutating func registerFallback(
        _ perform: @escaping @Sendable (JobContext) async throws -> Void
    ) {
        fallback = perform
    }

    /// The handler of a name; `nil` if there is none.
    package subscript(name: String) -> Handler? { handlers[name] ?? fallback }

    /// The error for arguments that cannot be decoded as the type of their job.
    package struct UndecodableArguments: Error {
        package let reason: String
        /// The reason without values of the arguments.
        private let reasonWithoutValues: String

        /// Creates an error whose reason contains no values.
        init(reason: String) {
            self.reason = reason
            reasonWithoutValues = reason
        }

        /// Creates the error from an error of a decoder.
        init(_ error: any Error) {
            reason = "\(error)"
            reasonWithoutValues =
                (error as? DecodingError).map { DecodingFailure($0).description }
                ?? "an error of the type \(type(of: error))"
        }

        var withoutValues: Self { Self(reason: reasonWithoutValues) }
    }
}
