// Answers lines of ids, of standard input, with the bundle that is named; a second word says how, if not by translating.

import Foundation

let bundle = URL(fileURLWithPath: CommandLine.arguments[1])
let method = CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "translate"
let translator = method == "translate" ? try Translator(bundle: bundle) : nil
let encoder = method == "translate" ? nil : try Encoder(bundle: bundle)
while let line = readLine() {
    let ids = line.split(separator: " ").map { Int($0)! }
    switch method {
    case "translate": print(try translator!.translate(ids).map { String($0) }.joined(separator: " "))
    case "classify": print(try encoder!.classify(ids).map { "\($0.label) \($0.score)" }.joined(separator: " "))
    case "score": print(try encoder!.score(ids))
    default: print(try encoder!.embed(ids).map { String($0) }.joined(separator: " "))
    }
}
