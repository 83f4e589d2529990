// Greedy translation with a bundle on iOS, from token ids to token ids, with TensorFlowLiteSwift's signature runner.
// A sample: tests compile it and compare its tokens with Python's, on Linux. See docs/mobile.md.
//
//   pod 'TensorFlowLiteSwift'        # and a bundle of the recipe int8-weights, fp16 or fp32
//
// The signatures, their tensors and what a step does with its caches are those of keras_attn/device/search/kv_cache.py.

import Foundation
import TensorFlowLite

private let notAttended: Float = -1e9

enum TranslatorError: Error {
    case wrongBundle(String)
    case tooLong(tokens: Int)
}

/// A translator's bundle, a folder with `manifest.json` and `model.tflite`. Not for two threads at once.
final class Translator {
    private let manifest: [String: Any]
    private let interpreter: Interpreter
    private var signatures: [String: Signature] = [:]
    private let padId: Int, startId: Int, endId: Int

    init(bundle: URL) throws {
        let data = try Data(contentsOf: bundle.appendingPathComponent("manifest.json"))
        manifest = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        guard manifest["format_version"] as? Int == 2, manifest["task"] as? String == "translation",
            let special = manifest["special_ids"] as? [String: Int],
            let pad = special["pad"], let start = special["start"], let end = special["end"]
        else { throw TranslatorError.wrongBundle("manifest.json must be a translator's, of format 2") }
        // Tokens around a text, and before a translation, that depend on two languages: see text_template.py.
        guard manifest["text_template"] == nil
        else { throw TranslatorError.wrongBundle("this sample does not choose languages") }
        (padId, startId, endId) = (pad, start, end)
        var options = Interpreter.Options()
        options.threadCount = 1
        interpreter = try Interpreter(
            modelPath: bundle.appendingPathComponent("model.tflite").path, options: options)
    }

    /// Tokens of the source, the end token included, to those of the target, without it.
    func translate(_ source: [Int]) throws -> [Int] {
        let buckets = manifest["buckets"] as? [[String: Any]] ?? []
        guard let bucket = buckets.first(where: { ($0["source"] as? Int ?? 0) >= source.count }),
            let room = bucket["source"] as? Int
        else { throw TranslatorError.tooLong(tokens: source.count) }
        let padding = room - source.count
        let ids = (source + Array(repeating: padId, count: padding)).map { Int32($0) }
        let mask = Array(repeating: Float(1), count: source.count) + Array(repeating: 0, count: padding)
        if let name = bucket["one_call"] as? String {
            return try inOneCall(name, ids, mask)
        }
        return try stepByStep(bucket, source.count, ids, mask)
    }

    /// The whole search in the graph: bundles that were exported with `--one-call`.
    private func inOneCall(_ name: String, _ ids: [Int32], _ mask: [Float]) throws -> [Int] {
        let search = try signature(name)
        // 0 tokens at most: twice the source's and ten.
        try search.run(["token_ids": bytes(ids), "source_mask": bytes(mask), "max_length": bytes([Int32(0)])])
        let length: [Int32] = try search.values("target_length")
        let produced: [Int32] = try search.values("target_ids")
        return produced.prefix(Int(length[0])).map(Int.init)
    }

    private func stepByStep(
        _ bucket: [String: Any], _ length: Int, _ ids: [Int32], _ mask: [Float]
    ) throws -> [Int] {
        let encode = try signature(bucket["encode"] as? String ?? "")
        try encode.run(["token_ids": bytes(ids), "source_mask": bytes(mask)])

        // Steps stand by their number of rows, 1 for greedy search, and by the target tokens they have room for.
        let steps = bucket["steps"] as? [String: [String: String]] ?? [:]
        guard let (target, name) = steps["1"]?.map({ (Int($0.key) ?? 0, $0.value) }).max(by: { $0.0 < $1.0 })
        else { throw TranslatorError.wrongBundle("manifest.json: no steps of one row") }
        let step = try Step(signature(name), after: encode)

        var produced: [Int] = []
        var token = startId
        for position in 0..<min(2 * length + 10, target) {
            var scores = try step.feed(token, at: position)
            scores[padId] = -.infinity
            if startId != endId { scores[startId] = -.infinity }
            token = scores.indices.max { scores[$0] < scores[$1] } ?? endId
            if token == endId { break }
            produced.append(token)
        }
        return produced
    }

    private func signature(_ name: String) throws -> Signature {
        if let ready = signatures[name] { return ready }
        let all = manifest["signatures"] as? [String: [String: [String: [String: Any]]]] ?? [:]
        guard let described = all[name] else { throw TranslatorError.wrongBundle("no signature \(name)") }
        let made = Signature(try interpreter.signatureRunner(with: name), described)
        signatures[name] = made
        return made
    }
}

/// A signature and its shapes; inputs that are not given keep what they had at the last run.
private final class Signature {
    let inputShapes: [String: [Int]], outputShapes: [String: [Int]]
    private let runner: SignatureRunner

    init(_ runner: SignatureRunner, _ described: [String: [String: [String: Any]]]) {
        self.runner = runner
        inputShapes = (described["inputs"] ?? [:]).mapValues { $0["shape"] as? [Int] ?? [] }
        outputShapes = (described["outputs"] ?? [:]).mapValues { $0["shape"] as? [Int] ?? [] }
    }

    func run(_ inputs: [String: Data]) throws { try runner.invoke(with: inputs) }

    func values<Value>(_ name: String) throws -> [Value] {
        try runner.output(named: name).data.withUnsafeBytes { Array($0.bindMemory(to: Value.self)) }
    }
}

/// One sentence's steps, one row: what each tensor is for follows from its name.
private final class Step {
    private let signature: Signature
    private var first: [String: Data] = [:]
    // The step returns no cache: it returns the new row, which is written into the cache here.
    private var caches: [String: [Float]] = [:]
    private var selfBias: [Float]?
    private let carried: [String]
    // Caches of a model of your own: the row is written where `slot` says.
    private var rowCaches: [String: [Float]] = [:]
    private var slot = 0

    init(_ signature: Signature, after encode: Signature) throws {
        self.signature = signature
        carried = signature.inputShapes.keys.filter { signature.outputShapes["next_\($0)"] != nil }
        selfBias = signature.inputShapes["self_bias"].map { Array(repeating: notAttended, count: size($0)) }
        for (name, shape) in signature.inputShapes {
            if name.contains("_cache_") {
                caches[name] = Array(repeating: 0, count: size(shape))
            } else if let encoded = encode.outputShapes[name] {
                // The step may have more room than encode; its bias forbids the rest.
                let rest = name.hasSuffix("_bias") ? notAttended : 0
                var values = Array(repeating: rest, count: size(shape))
                copyBox(try encode.values(name), encoded, into: &values, shape)
                first[name] = bytes(values)
                if signature.outputShapes["row_\(name)"] != nil { rowCaches[name] = values }
                if name == "slot" { slot = Int(values[0]) }
            } else if carried.contains(name) {
                first[name] = bytes(Array(repeating: Float(0), count: size(shape)))
            } else if signature.outputShapes["row_\(name)"] != nil {
                rowCaches[name] = Array(repeating: 0, count: size(shape))
            }
        }
    }

    /// Logits of the next token.
    func feed(_ token: Int, at position: Int) throws -> [Float] {
        var inputs = first
        first = [:]
        inputs["tokens"] = bytes([Int32(token)])
        if signature.inputShapes["position"] != nil { inputs["position"] = bytes([Int32(position)]) }
        if let bias = selfBias { inputs["self_bias"] = bytes(bias) }
        for (name, cache) in caches { inputs[name] = bytes(cache) }
        for (name, cache) in rowCaches { inputs[name] = bytes(cache) }
        try signature.run(inputs)
        for name in rowCaches.keys { try keepRow(name) }
        slot += 1
        for name in caches.keys { try keep(name, at: position) }
        selfBias?[position] = 0
        for name in carried {
            let next: [Float] = try signature.values("next_\(name)")
            first[name] = bytes(next)
        }
        return try signature.values("scores")
    }

    /// Write a row (2 * H * dh: keys, then values) into a cache (H, dh, T) at a position.
    private func keep(_ name: String, at position: Int) throws {
        let shape = signature.inputShapes[name] ?? []
        let (count, slots) = (shape[0] * shape[1], shape[2])
        let row: [Float] = try signature.values("row_" + name.components(separatedBy: "_cache_")[1])
        let start = name.hasPrefix("value") ? count : 0
        for i in 0..<count { caches[name]?[i * slots + position] = row[start + i] }
    }

    /// Write a row (1, ..., 1, ...) into a cache (1, ..., T, ...) at the slot.
    private func keepRow(_ name: String) throws {
        let shape = signature.inputShapes[name] ?? [], rowShape = signature.outputShapes["row_\(name)"] ?? []
        let axis = shape.indices.first { shape[$0] != rowShape[$0] } ?? shape.count - 1
        let inner = size(Array(shape[(axis + 1)...]))
        let row: [Float] = try signature.values("row_\(name)")
        for line in 0..<row.count / inner {
            for i in 0..<inner { rowCaches[name]?[(line * shape[axis] + slot) * inner + i] = row[line * inner + i] }
        }
    }
}

private func size(_ shape: [Int]) -> Int { shape.reduce(1, *) }

private func bytes<Value>(_ values: [Value]) -> Data { values.withUnsafeBytes { Data($0) } }

/// Copy an array into the beginning of a larger one of as many dimensions.
private func copyBox(_ from: [Float], _ small: [Int], into: inout [Float], _ large: [Int]) {
    let width = small[small.count - 1]
    for line in 0..<from.count / width {
        var (rest, place, step) = (line, 0, large[large.count - 1])
        for axis in stride(from: small.count - 2, through: 0, by: -1) {
            place += rest % small[axis] * step
            rest /= small[axis]
            step *= large[axis]
        }
        into.replaceSubrange(place..<place + width, with: from[line * width..<(line + 1) * width])
    }
}
