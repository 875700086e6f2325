/// Repeats the restart of a server while its address is in use, for up to 10 s. A child process of the
/// test holds a copy of the previous listening socket between `fork` and `exec`.
///
/// - Parameters:
///   - isAddressInUse: returns `true` for the error of an address that is in use.
///   - start: starts the server.
/// - Throws: the last error of `start`.
func repeating<Server, Failure: Error>(
    while isAddressInUse: (Failure) -> Bool, _ start: () async throws(Failure) -> Server
) async throws(Failure) -> Server {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
        do throws(Failure) {
            return try await start()
        } catch {
            guard isAddressInUse(error), ContinuousClock.now < deadline,
                (try? await Task.sleep(for: .milliseconds(5))) != nil
            else { throw error }
        }
    }
}
