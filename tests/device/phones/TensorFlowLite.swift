// Stands in for TensorFlowLiteSwift on Linux: the same signatures, over the real interpreter, which two FIFOs lead to.
// The environment names them: INTERPRETER_INPUT and INTERPRETER_OUTPUT.

import Foundation

public struct Tensor {
    public let name: String
    public let data: Data
}

public final class Interpreter {
    public struct Options {
        public var threadCount: Int?
        public init() {}
    }

    private let remote = Remote()

    public init(modelPath: String, options: Options? = nil) throws {}

    public func signatureRunner(with key: String) throws -> SignatureRunner { SignatureRunner(remote, key) }
}

public final class SignatureRunner {
    private let remote: Remote, key: String
    private var inputs: [String: Data] = [:], outputs: [String: Data] = [:]

    fileprivate init(_ remote: Remote, _ key: String) { (self.remote, self.key) = (remote, key) }

    public func invoke(with given: [String: Data]) throws {
        inputs.merge(given) { _, new in new }
        outputs = remote.run(key, inputs)
    }

    public func output(named name: String) throws -> Tensor { Tensor(name: name, data: outputs[name]!) }
}

private final class Remote {
    private let to = FileHandle(forWritingAtPath: ProcessInfo.processInfo.environment["INTERPRETER_INPUT"]!)!
    private let from = FileHandle(forReadingAtPath: ProcessInfo.processInfo.environment["INTERPRETER_OUTPUT"]!)!

    func run(_ key: String, _ inputs: [String: Data]) -> [String: Data] {
        var request = counted(Data(key.utf8)) + number(inputs.count)
        for (name, content) in inputs { request += counted(Data(name.utf8)) + counted(content) }
        to.write(request)
        var outputs: [String: Data] = [:]
        for _ in 0..<readNumber() {
            let name = String(decoding: read(readNumber()), as: UTF8.self)
            outputs[name] = read(readNumber())
        }
        return outputs
    }

    private func number(_ value: Int) -> Data { withUnsafeBytes(of: Int32(value).bigEndian) { Data($0) } }

    private func counted(_ content: Data) -> Data { number(content.count) + content }

    private func readNumber() -> Int { read(4).reduce(0) { $0 << 8 | Int($1) } }

    private func read(_ count: Int) -> Data {
        var content = Data()
        while content.count < count {
            let part = from.readData(ofLength: count - content.count)
            if part.isEmpty { fatalError("the interpreter has ended") }
            content.append(part)
        }
        return content
    }
}
