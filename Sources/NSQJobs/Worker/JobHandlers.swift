import Foundation

/// The types of jobs that a worker can perform, by their names.
public struct JobHandlers: Sendable {
    /// Performs a job whose arguments were not decoded.
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
                throw UndecodableArguments(reason: "\(error)")
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

    /// The arguments of a job are not those of its type.
    package struct UndecodableArguments: Error {
        package let reason: String
    }
}
