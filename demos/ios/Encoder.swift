// Classes, scores and vectors of texts with a bundle on iOS, from token ids, with TensorFlowLiteSwift's signature runner.
// A sample: tests compile it and compare its answers with Python's, on Linux. See docs/mobile.md.
//
//   pod 'TensorFlowLiteSwift'        # and a bundle of the recipe int8-weights, fp16 or fp32
//
// The signatures and their tensors are those of keras_attn/device/runtime/encoder.py.

import Foundation
import TensorFlowLite

enum EncoderError: Error {
    case wrongBundle(String)
    case tooLong(tokens: Int)
}

/// The bundle of a classifier, a scorer or a sentence encoder, a folder with `manifest.json` and `model.tflite`.
/// Ids are those of the whole text, its special tokens included. Not for two threads at once.
final class Encoder {
    private let manifest: [String: Any], model: [String: Any], config: [String: Any]
    private let task: String
    private let interpreter: Interpreter
    private var runners: [String: SignatureRunner] = [:]
    private let padId: Int, endId: Int

    init(bundle: URL) throws {
        let data = try Data(contentsOf: bundle.appendingPathComponent("manifest.json"))
        manifest = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        model = manifest["model"] as? [String: Any] ?? [:]
        config = model["config"] as? [String: Any] ?? [:]
        guard manifest["format_version"] as? Int == 2, let task = manifest["task"] as? String,
            ["classification", "scoring", "embedding"].contains(task),
            let special = manifest["special_ids"] as? [String: Int],
            let pad = special["pad"], let end = special["end"]
        else { throw EncoderError.wrongBundle("manifest.json must be an encoder's, of format 2") }
        (self.task, padId, endId) = (task, pad, end)
        var options = Interpreter.Options()
        options.threadCount = 1
        interpreter = try Interpreter(
            modelPath: bundle.appendingPathComponent("model.tflite").path, options: options)
    }

    /// All labels of a text, or of two, with their probabilities, the most probable first.
    func classify(_ ids: [Int]) throws -> [(label: String, score: Float)] {
        try check("classification")
        let names = model["labels"] as? [String] ?? []
        let several = config["multi_label"] as? Bool ?? false
        let scores = try run(ids)
        // Logarithms of the labels' own probabilities, or of shares, up to a constant.
        let largest = several ? 0 : scores.max() ?? 0
        let shares = scores.map { exp($0 - largest) }
        let sum = several ? 1 : shares.reduce(0, +)
        let order = shares.indices.sorted { (shares[$0], $1) > (shares[$1], $0) }
        return order.map { (names[$0], shares[$0] / sum) }
    }

    /// The score of a text or of two, as a reranker gives it.
    func score(_ ids: [Int]) throws -> Float {
        try check("scoring")
        let logit = try run(ids)[0]
        return config["activation"] as? String == "linear" ? logit : 1 / (1 + exp(-logit))
    }

    /// The vector of a text; a prompt, where the model has one, was put before the text.
    func embed(_ ids: [Int]) throws -> [Float] {
        try check("embedding")
        return try run(ids)
    }

    private func check(_ asked: String) throws {
        guard task == asked else { throw EncoderError.wrongBundle("this bundle is for \(task)") }
    }

    private func run(_ ids: [Int]) throws -> [Float] {
        let buckets = manifest["buckets"] as? [[String: Any]] ?? []
        guard let bucket = buckets.first(where: { ($0["source"] as? Int ?? 0) >= ids.count }),
            let length = bucket["source"] as? Int, let name = bucket["encode"] as? String,
            let signatures = manifest["signatures"] as? [String: [String: [String: Any]]],
            let described = signatures[name], let output = described["outputs"]?.keys.first
        else { throw EncoderError.tooLong(tokens: ids.count) }
        let padding = length - ids.count
        var inputs = [
            "token_ids": bytes((ids + Array(repeating: padId, count: padding)).map { Int32($0) }),
            "padding_mask": bytes(
                Array(repeating: Float(1), count: ids.count) + Array(repeating: 0, count: padding)),
        ]
        if described["inputs"]?["segment_ids"] != nil {
            inputs["segment_ids"] = bytes(segments(ids) + Array(repeating: 0, count: padding))
        }
        let runner = try runners[name] ?? interpreter.signatureRunner(with: name)
        runners[name] = runner
        try runner.invoke(with: inputs)
        return try runner.output(named: output).data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// 0 up to the token that ends the first text, 1 behind it.
    private func segments(_ ids: [Int]) -> [Int32] {
        let first = ids.firstIndex(of: endId) ?? ids.count
        return ids.indices.map { $0 > first ? 1 : 0 }
    }
}

private func bytes<Value>(_ values: [Value]) -> Data { values.withUnsafeBytes { Data($0) } }
