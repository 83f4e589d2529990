// Stands in for Android's org.json, as far as a manifest needs it.

package org.json

class JSONObject private constructor(private val members: Map<String, Any?>) {
    constructor(text: String) : this(asObject(Reader(text).value()))

    fun getInt(name: String) = (members.getValue(name) as Number).toInt()

    fun getString(name: String) = members.getValue(name) as String

    fun getBoolean(name: String) = members.getValue(name) as Boolean

    fun getJSONObject(name: String) = JSONObject(asObject(members.getValue(name)))

    fun getJSONArray(name: String) = JSONArray(members.getValue(name) as List<*>)

    fun has(name: String) = name in members

    fun keys(): Iterator<String> = members.keys.iterator()

    internal companion object {
        fun of(value: Any?) = JSONObject(asObject(value))

        private fun asObject(value: Any?) = (value as Map<*, *>).mapKeys { it.key as String }
    }
}

class JSONArray internal constructor(private val items: List<*>) {
    fun length() = items.size

    fun getInt(index: Int) = (items[index] as Number).toInt()

    fun getString(index: Int) = items[index] as String

    fun getJSONObject(index: Int) = JSONObject.of(items[index])
}

private class Reader(private val text: String) {
    private var at = 0

    fun value(): Any? {
        skipBlanks()
        return when (text[at]) {
            '{' -> sequence('}') { string().also { skipBlanks(); at++ } to value() }.toMap()
            '[' -> sequence(']') { value() }
            '"' -> string()
            else -> word().let { if (it == "null") null else it.toBooleanStrictOrNull() ?: it.toDouble() }
        }
    }

    private fun <Item> sequence(end: Char, item: () -> Item): List<Item> {
        val items = ArrayList<Item>()
        at++
        skipBlanks()
        while (text[at] != end) {
            items.add(item())
            skipBlanks()
            if (text[at] == ',') at++
            skipBlanks()
        }
        at++
        return items
    }

    private fun string(): String {
        val found = StringBuilder()
        while (text[++at] != '"') {
            if (text[at] != '\\') found.append(text[at])
            else when (val escaped = text[++at]) {
                'u' -> found.append(text.substring(at + 1, at + 5).toInt(16).toChar()).also { at += 4 }
                else -> found.append("\b\n\r\t\u000c".getOrNull("bnrtf".indexOf(escaped)) ?: escaped)
            }
        }
        at++
        return found.toString()
    }

    private fun word(): String {
        val first = at
        while (at < text.length && text[at] !in ",]} \n\r\t") at++
        return text.substring(first, at)
    }

    private fun skipBlanks() {
        while (text[at].isWhitespace()) at++
    }
}
