// Translates lines of ids, of standard input, with the bundle that is named.

import Foundation

let translator = try Translator(bundle: URL(fileURLWithPath: CommandLine.arguments[1]))
while let line = readLine() {
    let ids = line.split(separator: " ").map { Int($0)! }
    print(try translator.translate(ids).map { String($0) }.joined(separator: " "))
}
