#if EncryptionSupport
    import Crypto
    import Foundation

    /// Encrypts the arguments of jobs by AES-GCM, so that the store, NSQ, the page and backups do not contain
    /// them as text.
    ///
    /// ```swift
    /// var configuration = Jobs.Configuration()
    /// configuration.encryption = try JobEncryption(
    ///     keys: ["2025": old, "2026": new], encryptingWith: "2026")
    /// ```
    ///
    /// All keys decrypt, and one encrypts. To rotate keys, add the new key to all programs, then
    /// encrypt with it, and remove the old one when nothing needs it. Besides stored jobs, the
    /// arguments of schedules, of the callbacks of batches that have not ended, and of fleeting jobs in
    /// NSQ stay encrypted with the old key. To encrypt a schedule with the new key, store it again with
    /// plain arguments. Use a key for at most 2³² jobs.
    ///
    /// Encrypted arguments are bound to the name of their job: a job with another name cannot decrypt
    /// them. Names, queues, tags, unique and limit keys, errors, outputs and the results of steps are
    /// not encrypted.
    public struct JobEncryption: JobCipher {
        private let keys: [String: SymmetricKey]
        private let name: String
        private let key: SymmetricKey

        /// Creates an encryption.
        ///
        /// - Parameters:
        ///   - keys: the keys by their names, which are stored with the jobs: 1 to 64 bytes without control
        ///     characters. A key has 128, 192 or 256 bits.
        ///   - name: the key that encrypts.
        /// - Throws: ``JobsError/Code/invalidOption``.
        public init(
            keys: [String: SymmetricKey], encryptingWith name: String
        ) throws(JobsError) {
            for (name, key) in keys {
                guard (1...64).contains(name.utf8.count), !name.utf8.contains(where: { $0 < 0x20 })
                else {
                    throw JobsError(
                        .invalidOption,
                        "the name of a key must have 1 to 64 bytes without control characters")
                }
                guard [128, 192, 256].contains(key.bitCount) else {
                    throw JobsError(
                        .invalidOption,
                        "key '\(name)' must have 128, 192 or 256 bits, not \(key.bitCount)")
                }
            }
            guard let key = keys[name] else {
                throw JobsError(.invalidOption, "key '\(name)' is to encrypt, and is not given")
            }
            self.keys = keys
            self.name = name
            self.key = key
        }

        package func encrypt(
            _ arguments: String, of name: String
        ) throws(JobsError) -> EncryptedArguments {
            do {
                let box = try AES.GCM.seal(
                    Data(arguments.utf8), using: key, authenticating: Self.context(of: name))
                return EncryptedArguments(
                    key: self.name, nonce: Array(box.nonce), text: Array(box.ciphertext + box.tag))
            } catch {
                throw JobsError(
                    .invalidArguments, "cannot encrypt the arguments of job '\(name)': \(error)")
            }
        }

        package func decrypt(
            _ arguments: EncryptedArguments, of name: String
        ) throws(JobsError) -> String {
            guard let key = keys[arguments.key] else {
                throw JobsError(
                    .invalidArguments,
                    "the arguments are encrypted with key '\(arguments.key)', which this process "
                        + "does not have")
            }
            do {
                let box = try AES.GCM.SealedBox(combined: arguments.nonce + arguments.text)
                let plain = try AES.GCM.open(
                    box, using: key, authenticating: Self.context(of: name))
                return String(decoding: plain, as: UTF8.self)
            } catch {
                throw JobsError(
                    .invalidArguments,
                    "the arguments cannot be decrypted with key '\(arguments.key)': they were "
                        + "changed, or belong to another job")
            }
        }

        /// The additional data that AES-GCM authenticates, which binds the arguments to the name of
        /// their job.
        private static func context(of name: String) -> [UInt8] {
            Array("nsq-jobs-arguments\n\(name)".utf8)
        }
    }

    extension Jobs.Configuration {
        /// Encrypts the arguments of jobs; `nil` (the default) stores them as plain JSON. Jobs with
        /// plain arguments are still performed when encryption is set.
        public var encryption: JobEncryption? {
            get { cipher as? JobEncryption }
            set { cipher = newValue }
        }
    }
#endif
