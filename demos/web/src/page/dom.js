/** Elements in one expression. */

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] of the element; `class`, `lang`, `role` and `aria-…` as attributes
 * @param {...(Node | string)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(class|lang|role|for|aria-.*)$/.test(name)) made.setAttribute(name, String(value));
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Says a text to screen readers, without showing it. */
export function announce(text) {
  byId('announcer').textContent = text;
}

const numbers = new Intl.NumberFormat('en');

/** @param {number} bytes */
export function asBytes(bytes) {
  if (bytes < 1e6) return `${numbers.format(Math.ceil(bytes / 1e3))} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;
}

/** @param {number} ms */
export function asTime(ms) {
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
